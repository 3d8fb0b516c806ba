"""One synthesis of every stage a session: jsii starts slowly."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

import infra.app as cdk  # first: it quietens jsii, which speaks when aws_cdk is imported
from infra.stack import SunaStack
from infra.stages import STAGES
from tests.infra.template import Template

PROJECT = Path(__file__).parents[2]


def synthesize(stage: str, outdir: Path) -> tuple[SunaStack, Template]:
    """The stack of a stage and its template, made as the CDK's command line makes it."""
    settings: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text())["context"]
    # Bundles are referred to where they were built instead of being copied.
    app = App(
        analytics_reporting=False,
        outdir=str(outdir),
        context={
            **settings,
            "stage": stage,
            "aws:cdk:disable-asset-staging": True,
            "aws:cdk:enable-path-metadata": True,
        },
    )
    stack = cdk.build(app)
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
