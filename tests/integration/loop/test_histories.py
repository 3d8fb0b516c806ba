"""The loop under faults: whatever dies, sleeps, hangs or is asked for, every history keeps its promises."""

import os
from typing import cast

from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.loop.conftest import Play
from tests.integration.loop.scenario import Scenario, scenarios

# LOOP_EXAMPLES=2000 looks longer, and elsewhere each time.
_LONGER = os.environ.get("LOOP_EXAMPLES")


@settings(
    max_examples=int(_LONGER or 150),
    derandomize=_LONGER is None,
    database=None,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
)
@given(scenario=scenarios)
async def test_every_history_keeps_its_promises(play: Play, scenario: Scenario) -> None:
    await play(scenario)
