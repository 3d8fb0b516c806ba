"""One synthesis of every stage a session: jsii starts slowly."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from infra.app import build, new_app
from infra.stack import SunaStack
from infra.stages import STAGES
from tests.infra.template import Template

PROJECT = Path(__file__).parents[2]

# jsii starts the first `node` of PATH, which may be older than what the CDK supports.
_NODE = subprocess.run([PROJECT / "scripts/find-node.sh"], capture_output=True, text=True, check=True).stdout.strip()
os.environ["PATH"] = f"{_NODE}:{os.environ['PATH']}"


def synthesize(stage: str, outdir: Path) -> tuple[SunaStack, Template]:
    """The stack of a stage and its template, made as the CDK's command line makes it."""
    app = new_app(stage=stage, outdir=outdir)
    stack = build(app)
    app.synth()
    return stack, Template(json.loads((outdir / f"{stack.stack_name}.template.json").read_text()))


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[SunaStack, Template]]:
    """Stack and template by stage."""
    return {stage: synthesize(stage, tmp_path_factory.mktemp(stage)) for stage in STAGES}


@pytest.fixture(scope="session")
def templates(synthesized: dict[str, tuple[SunaStack, Template]]) -> dict[str, Template]:
    """Template by stage."""
    return {stage: template for stage, (_, template) in synthesized.items()}


@pytest.fixture(params=sorted(STAGES))
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """The template of each stage in turn."""
    return templates[request.param]


@pytest.fixture(params=["small", "large"])
def cloud_template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """The template of each stage in the cloud in turn."""
    return templates[request.param]
