"""Check the types of everything with pyright, each part with the environment that it runs in.

``python -m scripts.types``: prints what is wrong; the last line is ``{"type_errors": N}``; 1 if there are any. The
part of the benches' peers is checked where their environment is installed (``make test`` does that).
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Configuration, and the environment that it names.
_PROJECTS = {
    "pyproject.toml": "dev",
    "localstack/pyproject.toml": "localstack",
    "bench/peers/pyrightconfig.json": "bench-peers",
}


def errors_of(project: str) -> int:
    """How many errors pyright finds by the configuration ``project``; prints them.

    Raises:
        RuntimeError: pyright did not come to an end.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--project", project, "--outputjson"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise RuntimeError(f"pyright has failed on {project}: {done.stdout[-2000:]}{done.stderr[-2000:]}") from error
    for problem in found["generalDiagnostics"]:
        line = problem.get("range", {}).get("start", {}).get("line", 0) + 1
        print(f"{problem['file']}:{line}: {problem['severity']}: {problem['message']}")
    if found["summary"]["filesAnalyzed"] == 0:
        raise RuntimeError(f"{project} names no file")
    return found["summary"]["errorCount"]


def main() -> int:
    """Check all projects whose environments are there, two at the same time."""
    projects = [project for project, name in _PROJECTS.items() if (ROOT / ".local/venvs" / name / "bin").is_dir()]
    with ThreadPoolExecutor(max_workers=2) as pool:
        count = sum(pool.map(errors_of, projects))
    print(json.dumps({"type_errors": count}))
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
