"""Who may read a thread's log is said by a thread's row, and by nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = {"ThreadLog", "LogHold", "Claim"}
# They read a row that a statement has scoped to an account.
MAKERS = {
    "shared/database/threads.py": "log_of",
    "shared/stream/log_hold.py": "adopt_locked",
    "shared/runs/transitions.py": "_claim",
}


def _made(path: Path) -> Iterator[tuple[str, str]]:
    """Where a module makes one: the module and the function."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] in KINDS:
                yield str(path.relative_to(ROOT)), function.name


def test_a_log_is_made_of_a_threads_row_and_nowhere_else() -> None:
    made = {
        found for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py") for found in _made(path)
    }
    assert made == set(MAKERS.items())
