"""Each defence of an area is taken out of a copy of the sources, and its test run: ``make mutants AREA=security``."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from bench.report import sized
from tests.mutants import ROOT, Mutant

AREAS = ("security", "core")
_LOCALSTACK = ROOT / ".local/venvs/localstack/bin/python"
# What a test's process may take; the slowest start LocalStack and functions.
LONGEST_S = 240


def copy_sources(folder: Path) -> None:
    """The sources as they are, with what is set up for them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".local", "node_modules", "clients/web/node_modules"):
        (folder / name).symlink_to(ROOT / name)


def _is_of_localstack(mutant: Mutant) -> bool:
    """Whether its test is of the project that has an environment of its own."""
    return mutant.test.startswith("tests/localstack/")


def _is_of_the_page(mutant: Mutant) -> bool:
    """Whether its test opens the page, as the stack serves it."""
    return mutant.test.startswith("tests/browser/")


def _command(mutant: Mutant, root: Path) -> tuple[list[str], Path, re.Pattern[str]]:
    """How the mutant's test is executed, where, and how it says which test has failed."""
    file, _, test = mutant.test.partition("::")
    if file.endswith(".ts"):
        folder, name = file.removeprefix("clients/web/"), re.escape(test)
        return (
            ["node_modules/.bin/vitest", "run", folder, "--testNamePattern", name],
            root / "clients/web",
            re.compile(rf"FAIL +({re.escape(folder)}.*)"),
        )
    python = str(_LOCALSTACK) if _is_of_localstack(mutant) else sys.executable
    pytest = [python, "-m", "pytest", "-x", "-q", "-rf", "-p", "no:cacheprovider", mutant.test]
    return pytest, root, re.compile(rf"^FAILED ({re.escape(file)}::\S+)", re.MULTILINE)


def caught_by(mutant: Mutant, root: Path) -> str | None:
    """The test that fails without the defence, of those that are named for it; ``None`` if none does."""
    kept = (root / mutant.file).read_text(encoding="utf-8")
    mutant.put_into(root)
    command, folder, failure = _command(mutant, root)
    # The stack's own sources are where they are installed from, and with them the page: not here.
    is_from_here = _is_of_localstack(mutant) or _is_of_the_page(mutant)
    try:
        if _is_of_the_page(mutant):
            subprocess.run([root / "scripts" / "web.sh"], check=True)
        run = subprocess.run(
            command,
            cwd=folder,
            env=os.environ
            | {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
            | ({"PYTHONPATH": str(root / "localstack" / "src")} if is_from_here else {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    finally:
        (root / mutant.file).write_text(kept, encoding="utf-8")
    # One that cannot even start has caught nothing.
    failed = failure.search(run.stdout + run.stderr)
    if run.returncode == 1 and failed:
        return failed[1]
    if run.returncode:
        print(run.stdout[-2000:] + run.stderr[-2000:])
    return None


def main() -> int:
    """Play the area's mutants, or those whose names have the words; fails unless each is caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--only", default="", metavar="WORDS", help="those whose names have the words in them")
    arguments = parser.parse_args()
    every: list[Mutant] = import_module(f"tests.mutants.{arguments.area}").MUTANTS
    chosen = [mutant for mutant in every if arguments.only in mutant.name]
    caught = 0
    with tempfile.TemporaryDirectory() as folder:
        # PostgreSQL, which takes no orders from root, is started by somebody who has to see it.
        Path(folder).chmod(0o755)
        copy_sources(Path(folder))
        for mutant in sized(chosen, chosen[:1]):
            began = time.monotonic()
            by = caught_by(mutant, Path(folder))
            caught += by is not None
            print(f"{mutant.name:64} {by or 'NOT CAUGHT'}  {time.monotonic() - began:.0f} s", flush=True)
    put_back = len(sized(chosen, chosen[:1]))
    print(f"mutants: {put_back} put back, {caught} caught")
    return 0 if caught == put_back > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
