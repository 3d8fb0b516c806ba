"""The CloudFormation template of the local stage, synthesized only when what it is made from has changed."""

import asyncio
import json
import os
import shutil
from pathlib import Path

from suna_localstack.up.errors import StackError
from suna_localstack.up.files import locked
from suna_localstack.up.fingerprint import fingerprint, stored
from suna_localstack.up.folders import Folders
from suna_localstack.up.surroundings import find_node
from suna_localstack.up.tasks import run_task

_FILES = ("cdk.json", "package-lock.json", "locks/infra.txt")


def sources(root: Path) -> list[Path]:
    """Every file the template is made from: the CDK app, its locks, and the migrations it deploys."""
    app = [path for path in (root / "infra").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    migrations = list((root / "shared").rglob("*.sql"))
    return app + migrations + [root / name for name in _FILES if (root / name).exists()]


def _stamp(folders: Folders) -> Path:
    return folders.assembly.with_name("local.sha256")


def is_needed(folders: Folders) -> bool:
    """Whether the template is missing or older than its sources."""
    return not folders.template.exists() or stored(_stamp(folders)) != fingerprint(folders.root, sources(folders.root))


async def synthesize(folders: Folders, *, env: dict[str, str], log: Path) -> bool:
    """Make the template if that is needed; returns whether it was.

    The app is run as the CDK's command line would run it, without the command line: it is faster, and the template
    needs no Node package beyond those inside ``aws-cdk-lib``.

    Raises:
        StackError: Node.js is missing or the app failed.
    """
    async with locked(folders.assembly.with_name("local.lock")):
        if not is_needed(folders):
            return False
        node = await asyncio.to_thread(find_node, folders)
        if not folders.dev_python.exists():
            raise StackError(f"{folders.dev_python} is missing: run `make up`, which sets it up")
        # Hashed before the synth: a file changed meanwhile makes the next start synthesize again.
        made_from = fingerprint(folders.root, sources(folders.root))
        cdk = json.loads((folders.root / "cdk.json").read_text())
        context = {**cdk.get("context", {}), "stage": "local"}
        output = folders.assembly.with_name("local.new")
        shutil.rmtree(output, ignore_errors=True)
        await run_task(
            "cdk synth",
            [str(folders.dev_python), "-m", "infra.app"],
            log=log,
            env={
                **env,
                "PATH": f"{node}:{env.get('PATH', os.defpath)}",
                "CDK_OUTDIR": str(output),
                "CDK_CONTEXT_JSON": json.dumps(context),
                "CDK_DEFAULT_ACCOUNT": "000000000000",
                "CDK_DEFAULT_REGION": "us-east-1",
                "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            },
            cwd=folders.root,
        )
        if not (output / folders.template.name).exists():
            raise StackError(f"cdk synth made no {folders.template.name}; see {log}")
        shutil.rmtree(folders.assembly, ignore_errors=True)
        output.replace(folders.assembly)
        _stamp(folders).write_text(made_from)
        return True
