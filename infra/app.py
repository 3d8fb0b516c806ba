"""Entry point of the CDK: `npx cdk synth -c stage=small`.

Context: `stage` (`local`, `small`, `large`; default `local`) and, for stage `local`, `code` (`hot-reload` by default,
`bundle` for zip files of this machine's platform).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aws_cdk import App

from infra.bundling import BundleError
from infra.nag import accept, enforce
from infra.stack import SunaStack
from infra.stages import STAGES

SETTINGS = Path(__file__).resolve().parent.parent / "cdk.json"
ASSETS_IN_PLACE = "aws:cdk:disable-asset-staging"
PATHS_IN_METADATA = "aws:cdk:enable-path-metadata"
CODE = ("hot-reload", "bundle")


def build(app: App) -> SunaStack:
    """The stack that the app's context asks for. Raises ValueError if it asks for something unknown."""
    stage_name = app.node.try_get_context("stage") or "local"
    code = app.node.try_get_context("code") or CODE[0]
    if stage_name not in STAGES:
        raise ValueError(f"unknown stage {stage_name!r}: use one of {', '.join(STAGES)}")
    if code not in CODE:
        raise ValueError(f"unknown code {code!r}: use one of {', '.join(CODE)}")
    stage = STAGES[stage_name]
    stack = SunaStack(app, stage=stage, bundled=code == "bundle")
    if stage.cloud is not None:
        accept(stack)
        enforce(app)
    return stack


def new_app(*, stage: str, outdir: Path) -> App:
    """An app as the command line makes it from `cdk.json`, but that bundles are named in place instead of copied."""
    settings: dict[str, object] = json.loads(SETTINGS.read_text(encoding="utf-8"))["context"]
    return App(
        analytics_reporting=False,
        outdir=str(outdir),
        context={**settings, "stage": stage, ASSETS_IN_PLACE: True, PATHS_IN_METADATA: True},
    )


def main() -> int:
    """Synthesize; one line on standard error and status 1 where that is not possible."""
    app = App(analytics_reporting=False)
    try:
        build(app)
        app.synth()
    except (BundleError, ValueError, RuntimeError) as error:
        # RuntimeError is what the CDK's own errors come as; cdk-nag's findings, printed before, are among them.
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
