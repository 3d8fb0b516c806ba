"""List each place in functions/ and shared/ that names an error of the SDKs of AWS or Redis, or catches one.

These are translated where they are made, in the modules of ``TRANSLATING``: whoever else names one has been let in on
what belongs to a client, and whoever forgets to is a 500. aiohttp's ClientError is another thing.
"""

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRANSLATING = frozenset({"shared/aws/faults.py", "shared/stream/redis_client.py"})

_NAMES = frozenset({"ClientError", "BotoCoreError", "RedisError"})
_SDKS = frozenset({"aioboto3", "aiobotocore", "boto3", "botocore", "redis"})
_ALLOWED = "aiohttp"


def places(source: str) -> list[tuple[int, str]]:
    """The line and the name of each place in a module's ``source``, in order."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [found for node in nodes for found in _imports(node)]
    modules = {found.bound: found.module for found in imports}
    raw = {found.bound for found in imports if found.is_raw}
    found = {(one.line, one.module) for one in imports if one.is_raw}
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if name in raw:
                found.add((node.lineno, name))
            case ast.Attribute() if _is_raw_chain(ast.unparse(node), modules):
                found.add((node.lineno, ast.unparse(node)))
            case ast.ExceptHandler(type=ast.expr() as caught):
                # What a client calls its own errors: ``client.exceptions.ResourceNotFound``.
                found |= {(caught.lineno, name) for name in _attributes(caught) if _is_clients_own(name, modules)}
            case _:
                pass
    return sorted(found)


@dataclass(frozen=True)
class _Import:
    """``bound``: its name in the module; ``module``: what that is, with dots."""

    line: int
    bound: str
    module: str
    is_raw: bool


def _imports(node: ast.AST) -> Iterator[_Import]:
    match node:
        case ast.Import():
            for name in node.names:
                bound = name.asname or name.name.partition(".")[0]
                module = name.name if name.asname else bound
                yield _Import(node.lineno, bound, module, is_raw=False)
        case ast.ImportFrom(module=str(module)):
            for name in node.names:
                is_raw = _is_raw(module, name.name)
                yield _Import(node.lineno, name.asname or name.name, f"{module}.{name.name}", is_raw=is_raw)
        case _:
            pass


def _is_raw(module: str, name: str) -> bool:
    """Whether ``name``, imported from ``module``, is such an error, or where they are kept."""
    root = module.partition(".")[0]
    if root in _SDKS:
        return name == "exceptions" or "exceptions" in module.split(".") or name.endswith(("Error", "Exception"))
    return name in _NAMES and root != _ALLOWED


def _is_raw_chain(chain: str, modules: dict[str, str]) -> bool:
    root, *rest = chain.split(".")
    module = modules.get(root, root)
    if module.partition(".")[0] in _SDKS:
        return _is_raw(".".join([module, *rest[:-1]]), rest[-1])
    return rest[-1] in _NAMES and module.partition(".")[0] != _ALLOWED


def _is_clients_own(chain: str, modules: dict[str, str]) -> bool:
    root, *rest = chain.split(".")
    return "exceptions" in rest[:-1] and root not in modules


def _attributes(caught: ast.expr) -> Iterator[str]:
    for node in ast.walk(caught):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def outside(root: Path) -> list[str]:
    """The places below ``root`` outside the modules that translate, as ``path:line: name``."""
    found: list[str] = []
    for folder in ("functions", "shared"):
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if path not in TRANSLATING:
                named = places(file.read_text(encoding="utf-8"))
                found += [f"{path}:{line}: {name}" for line, name in named]
    return found


def main() -> int:
    """Print them, then how many there are; 1 if there is one."""
    found = outside(ROOT)
    for place in found:
        print(place)
    print(json.dumps({"raw_errors_outside": len(found)}))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
