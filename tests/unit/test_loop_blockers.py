"""No provider that can be named blocks the loop: every one that litellm knows is asked, where there is no network."""

import json
import subprocess
import sys

from shared.llm import _PROVIDERS, BLOCKING


def test_no_provider_that_is_served_blocks_the_loop() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.unit.provider_walk"], capture_output=True, text=True, check=False, timeout=170
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(found["served"]) == _PROVIDERS - BLOCKING
    assert len(found["served"]) > 100
    # Those that are not served would: one that has ceased to is served again.
    assert set(found["blocking"]) == BLOCKING, found["blocking"]
