"""What a worker runs on: the base interpreter and AWS's runtime client, without LocalStack's packages."""

import functools
import os
import sys
from importlib import metadata
from pathlib import Path

from localstack import config
from suna_localstack.once import once

_DISTRIBUTIONS = ("awslambdaric", "simplejson", "snapshot-restore-py")

RUNTIME = f"python3.{sys.version_info.minor}"
"""The only Lambda runtime that can run: the interpreter's own version."""


@functools.cache
def state_dir() -> Path:
    """Folder for everything this package writes."""
    return Path(os.environ.get("SUNA_STATE_DIR") or config.dirs.tmp)


def interpreter() -> Path:
    """The interpreter behind the virtual environment LocalStack runs in."""
    return Path(sys.base_prefix, "bin", RUNTIME)


@once
def runtime_client_dir() -> Path:
    """Make a folder with AWS's runtime client and nothing else, the part /var/runtime plays on AWS; return its path."""
    folder = state_dir() / "runtime"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _DISTRIBUTIONS:
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or () if not file.parts[0].startswith("..")}
        for top in tops:
            if top.endswith(".dist-info") or top == "__pycache__":
                continue
            link = folder / top
            link.unlink(missing_ok=True)
            link.symlink_to(Path(str(distribution.locate_file(top))))
    for module in (Path(__file__).parent / "in_worker").glob("suna_*.py"):
        link = folder / module.name
        link.unlink(missing_ok=True)
        link.symlink_to(module)
    return folder


def command(handler: str) -> list[str]:
    """The worker's command line: no site-packages, no user site; the code root comes first on PYTHONPATH."""
    return [str(interpreter()), "-s", "-S", "-m", "awslambdaric", handler]


def environment(localstack_variables: dict[str, str], *, code_root: Path, scratch_dir: Path) -> dict[str, str]:
    """The worker's whole environment: what AWS sets, what the function configures, nothing of LocalStack's own.

    Parameters
    ----------
    localstack_variables
        What LocalStack would give a container, the function's own variables included.
    code_root
        Folder of the function's code, /var/task on AWS.
    scratch_dir
        Home and temporary folder: a user's ~/.aws must not be seen.
    """
    variables = {
        "PATH": f"{interpreter().parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "HOME": str(scratch_dir),
        "TMPDIR": str(scratch_dir),
        "PYTHONBREAKPOINT": "suna_breakpoint.wait",
    }
    variables |= {
        name: str(value)
        for name, value in localstack_variables.items()
        if not name.startswith("LOCALSTACK_") and name != "EDGE_PORT"
    }
    variables |= {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
        "LAMBDA_TASK_ROOT": str(code_root),
        "LAMBDA_RUNTIME_DIR": str(runtime_client_dir()),
    }
    if stack_id := os.environ.get("SUNA_STACK_ID"):
        # The supervisor recognises by it what is left of a stack that was killed.
        variables["SUNA_STACK_ID"] = stack_id
    path = [str(code_root), str(runtime_client_dir()), *filter(None, [variables.get("PYTHONPATH")])]
    variables["PYTHONPATH"] = ":".join(path)
    return variables
