"""The commands of the README's table, and how ``make test`` calls each.

A call runs at the smallest size (``SMALLEST=1``) on the stack of the end-to-end tests, and its last line is parsed. A
command that a step of ``make test`` runs has been called by its end. What is called elsewhere says why.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Call:
    """``python -m <argv>`` with the environment ``dev``, or ``localstack`` if ``local``.

    ``keys``: what the JSON of the last line has at least; ``last``: a pattern for a last line that is no JSON.
    ``with_services``: with PostgreSQL and Redis beside the stack's; ``own_folder``: where no stack is.
    """

    argv: tuple[str, ...]
    keys: frozenset[str] = frozenset()
    last: str | None = None
    local: bool = False
    with_services: bool = False
    own_folder: bool = False


@dataclass(frozen=True)
class Step:
    """A step of ``make test`` runs what the command does, by this name in ``scripts/test.py``."""

    name: str


@dataclass(frozen=True)
class Elsewhere:
    """``make test`` cannot call it, for ``reason``; ``by`` does: ``file::word``."""

    by: str
    reason: str


def _bench(module: str, *keys: str, with_services: bool = False, arguments: tuple[str, ...] = ()) -> Call:
    return Call((f"bench.{module}", *arguments), keys=frozenset(keys), with_services=with_services)


def _up(command: str, last: str, *arguments: str, own_folder: bool = False) -> Call:
    return Call(("suna_localstack.up", command, *arguments), last=last, local=True, own_folder=own_folder)


def _faults(module: str, name: str, *arguments: str, more: str = "") -> Call:
    survived = rf"{name}: ([1-9]\d*) injected, \1 survived, 0 lost, 0 duplicated{more}"
    return Call((module, *arguments), last=survived)


def _counted(name: str, *files: str) -> Call:
    counted = ("pytest", "-p", "tests.counted", f"--counted={name}", *files)
    return Call(counted, last=rf"{name}: [1-9]\d* checks, 0 failed")


_CLIENTS = r", [1-9]\d* clients"
_TOKEN = r"  token +[\w-]+(\.[\w-]+){2}"

TRIED: dict[str, Call | Step | Elsewhere] = {
    # It boots as `up` does, which the tests' stack is started with: here it finds that one.
    "run": _up("run", _TOKEN, "--message", "[[say smoke]]"),
    "chat": Call(
        ("clients.terminal", "--once", "[[say smoke]]"),
        last=r"first token after \d+ ms, \d+\.\d s, [1-9]\d* tokens read, [1-9]\d* written",
    ),
    "up": _up("up", r"  described in  .*stack\.json"),
    # What ends a stack is called at the end of the tests' own, and its answer asserted there.
    "down": _up("down", "nothing is running", own_folder=True),
    "status": _up("status", _TOKEN),
    "logs": _up("logs", r"[\w-]+ +\| .*", "--no-follow"),
    "check": Step("check"),
    "api-clients": Step("api-clients"),
    "bench-first-token": _bench("first_token", "added_ms_p50", "echo_ms_p50", "bare_litellm_ms_p50", "runs"),
    "bench-context": _bench("context", "recount_over_build_cpu_200", "rows_read_200", "exact", with_services=True),
    "bench-log": _bench(
        "log", "events_per_s_ratio_100_readers", "redis_commands_ratio", "lag_p99_ratio", with_services=True
    ),
    # Without the first token against the others, three servers that take longer to start than all the rest.
    "bench-stream": _bench(
        "stream",
        "streams_at_250ms",
        "lost_at_200",
        "lag_ms_p99_at_10",
        "websockets_open",
        "websockets_dropped",
        "websockets_through_functions_dropped",
        arguments=("--only", "load", "sockets"),
    ),
    "bench-limits": _bench("limits", "admitted_error_percent", "round_trips", "added_us_p50", with_services=True),
    "bench-scale": _bench(
        *("scale", "buffers_growth_worst", "sequential_scans_over_1000_rows", "delete_thread_100_runs_s"),
        "hot_account_over_many",
        with_services=True,
    ),
    "oracle": Call(
        ("tests.oracle",), last=r"oracle: [1-9]\d* methods compared, \d+ differences explained, 0 unexplained"
    ),
    # The step calls the same file, with shorter runs; its last line is made as that of `security`.
    "cuts": Step("e2e"),
    "security": _counted("security", *(f"tests/security/test_{name}.py" for name in ("matrix", "commands", "input"))),
    "mutants": Call(("tests.mutants", "security"), last=r"mutants: ([1-9]\d*) put back, \1 caught"),
    "soak": _bench("soak", "conversations", "failed", "slopes_an_hour", "growing"),
    "house": Elsewhere(".ci/run::house", "it reads what `make test` reports at its end"),
    "fresh-machine": Elsewhere("scripts/fresh-machine.sh::debootstrap", "it needs root, and a Debian of its own"),
    "cost": Call(("infra.cost", "small"), keys=frozenset({"as_of", "idle_usd_month"})),
    # At the end: they leave the functions to start anew.
    "faults": _faults("tests.faults", "faults", more=_CLIENTS),
    "faults-once": _faults("tests.faults", "faults", "--once", more=_CLIENTS),
    "burst": _faults("tests.faults.burst", "burst"),
    "abuse": Call(("tests.abuse",), last=r"abuse: ([1-9]\d*) counted, 0 got through"),
}

CALLING = "test_a_command_works_at_its_smallest_size"

_ROW = re.compile(r"^\| (`make [^|]*) \|", re.MULTILINE)
_COMMAND = re.compile(r"`make ([a-z-]+)[^`]*`")


def readme_commands() -> list[str]:
    """The commands of the README's table, in its order."""
    rows = _ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    return [command for row in rows for command in _COMMAND.findall(row)]


def recipe(command: str) -> str:
    """What the Makefile runs for a command."""
    found = re.search(rf"^{command}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def smoked(reports: Path, commands: Iterable[str]) -> list[str]:
    """Those of ``commands`` that the ``make test`` of these reports has called, and that did what they should."""
    done = {
        command
        for command, how in TRIED.items()
        if isinstance(how, Step)
        and (reports / f"{how.name}.seconds").exists()
        and not (reports / f"failed.{how.name}").exists()
    }
    if not (reports / "e2e.xml").exists():
        return [command for command in commands if command in done]
    for case in ElementTree.parse(reports / "e2e.xml").getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        name, _, command = case.get("name", "").removesuffix("]").partition("[")
        wrong = {child.tag for child in case} & {"failure", "error", "skipped"}
        if name == CALLING and not wrong:
            done.add(command)
    return [command for command in commands if command in done]
