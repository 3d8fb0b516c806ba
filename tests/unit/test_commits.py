"""Every transaction is in the table that says what happens when the reply to its COMMIT is lost."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/lifecycles/commits.md"
_BEGINNING = {"transaction", "atomic", "holding"}
_ROW = re.compile(r"^\| `(\S+)` `(\S+)` \| \S", re.MULTILINE)


def _transactions(node: ast.AST, within: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of functions that begin one."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        match child:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _BEGINNING:
                yield ".".join(within)
            case _:
                pass
        yield from _transactions(child, (*within, child.name) if named else within)


def test_each_transaction_is_in_the_table_once() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), function)
        for package in ("shared", "functions")
        for path in (ROOT / package).rglob("*.py")
        for function in _transactions(ast.parse(path.read_text(encoding="utf-8")))
    }
    # Where it is begun, and a savepoint, which commits nothing.
    pool = "shared/database/pool.py"
    found -= {(pool, "transaction"), (pool, "atomic"), ("shared/database/accounts.py", "delete")}
    listed = _ROW.findall(TABLE.read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(found)
