"""cdk-nag's AWS Solutions on the cloud's stages: nothing unexplained, and no explanation without a finding."""

from aws_cdk import App

from infra.nag import ACCEPTED, findings
from infra.stack import SunaStack
from infra.stages import STAGES
from tests.infra.conftest import PROJECT
from tests.infra.template import Template


def test_there_is_no_unexplained_finding(synthesized: dict[str, tuple[SunaStack, Template]]) -> None:
    for stage in ("small", "large"):
        assert findings(synthesized[stage][0]) == []


def test_every_accepted_finding_exists_and_has_a_reason() -> None:
    assert PROJECT.exists()
    stack = SunaStack(App(analytics_reporting=False), stage=STAGES["small"], bundled=False)
    found = findings(stack)

    assert found
    for accepted in ACCEPTED:
        assert len(accepted.reason) > 20
        for path in accepted.paths:
            prefix = f"{stack.stack_name}/{path}"
            assert any(finding.rule == accepted.rule and finding.path.startswith(prefix) for finding in found), (
                accepted.rule,
                path,
            )
