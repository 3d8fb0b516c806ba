"""Check docs/openapi.json with three validators, and that generators make clients of it that compile.

The last line is JSON: ``openapi_errors``, what the validators complain of (warnings too: rules that are off are off in
redocly.yaml and spectral.yaml, each with its reason), and ``clients_compiled``, of 2. Exits with 1 unless these are 0
and 2. Tools and versions: package-lock.json beside this file, and locks/api-clients.txt.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DESCRIPTION = ROOT / "docs/openapi.json"
MADE = ROOT / ".local/api-clients"
_NODE = HERE / "node_modules/.bin"
_PYTHON = ROOT / ".local/venvs/api-clients/bin"
_IMPORT_ALL = (
    "import importlib, pkgutil, suna_client;"
    "names = [module.name for module in pkgutil.walk_packages(suna_client.__path__, 'suna_client.')];"
    "[importlib.import_module(name) for name in names];"
    "assert any(name.endswith('.create_thread') for name in names), names"
)


def main(description: Path = DESCRIPTION) -> int:
    """Run all checks; 1 if anything is wrong with ``description``."""
    shutil.rmtree(MADE, ignore_errors=True)
    MADE.mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        clients = [pool.submit(_compiles, client, description) for client in (_python, _typescript)]
        counts = [pool.submit(count, description) for count in (_openapi_spec_validator, _redocly, _spectral)]
    errors = sum(count.result() for count in counts)
    compiled = sum(client.result() for client in clients)
    print(json.dumps({"openapi_errors": errors, "clients_compiled": compiled}))
    return int(errors > 0 or compiled < len(clients))


def _run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # The Python generator formats with the ruff of its own environment. Redocly reports to nobody.
    environment = {
        **os.environ,
        "PATH": f"{_PYTHON}:{os.environ['PATH']}",
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        "SCARF_ANALYTICS": "false",
    }
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def _openapi_spec_validator(description: Path) -> int:
    done = _run(_PYTHON / "openapi-spec-validator", description)
    if done.returncode:
        print(f"openapi-spec-validator: {done.stdout}{done.stderr}")
    return int(done.returncode != 0)


def _redocly(description: Path) -> int:
    done = _run(_NODE / "redocly", "lint", "--config", HERE / "redocly.yaml", "--format", "json", description)
    problems = _json("redocly", done)["problems"]
    for problem in problems:
        print(f"redocly: {problem['ruleId']}: {problem['message']} {problem['location'][0].get('pointer')}")
    return len(problems)


def _spectral(description: Path) -> int:
    done = _run(_NODE / "spectral", "lint", "--quiet", "--ruleset", HERE / "spectral.yaml", "-f", "json", description)
    problems = _json("spectral", done)
    for problem in problems:
        print(f"spectral: {problem['code']}: {problem['message']} {'/'.join(map(str, problem['path']))}")
    return len(problems)


def _compiles(client: Callable[[Path], list[subprocess.CompletedProcess[str]]], description: Path) -> bool:
    failed = [done for done in client(description) if done.returncode]
    for done in failed:
        print(f"{' '.join(map(str, done.args))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return not failed


def _python(description: Path) -> list[subprocess.CompletedProcess[str]]:
    made = MADE / "suna_client"
    generate = ("generate", "--path", description, "--meta", "none", "--output-path", made, "--fail-on-warning")
    return [
        _run(_PYTHON / "openapi-python-client", *generate),
        _run(_PYTHON / "python", "-W", "error", "-c", _IMPORT_ALL, cwd=MADE),
    ]


def _typescript(description: Path) -> list[subprocess.CompletedProcess[str]]:
    return [
        _run(_NODE / "openapi-typescript", description, "--output", MADE / "schema.ts"),
        _run(_NODE / "tsc", "--project", HERE / "tsconfig.json"),
    ]


def _json(tool: str, done: subprocess.CompletedProcess[str]) -> Any:
    """What a linter says. One that says nothing has not linted."""
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RuntimeError(f"{tool} failed with {done.returncode}: {done.stdout}{done.stderr}") from error


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
