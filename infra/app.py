"""Entry point of the CDK: `npx cdk synth -c stage=small`.

Context: `stage` (`local`, `small`, `large`; default `local`) and, for stage `local`, `code` (`hot-reload` by default,
`bundle` for zip files of this machine's platform).
"""

from __future__ import annotations

import sys

from aws_cdk import App

from infra.bundling import BundleError
from infra.nag import accept, enforce
from infra.stack import SunaStack
from infra.stages import STAGES

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


def main() -> int:
    """Synthesize; one line on standard error and status 1 where that is not possible."""
    app = App(analytics_reporting=False)
    try:
        build(app)
    except (BundleError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
