"""The commands of the README's table, and by what each is tried.

A call runs at the smallest size on the stack of the end-to-end tests, and its last line is parsed. What would need a
stack or packages of its own names the test that does what it does, or the goal of continuous integration that runs it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Call:
    """``python -m <argv>`` with the environment ``dev``, or ``localstack`` if ``local``.

    ``keys``: what the JSON of the last line has at least; ``last``: a pattern for a last line that is no JSON.
    ``with_services``: with a PostgreSQL and Redis of its own; ``own_stack``: it boots a stack.
    """

    argv: tuple[str, ...]
    keys: frozenset[str] = frozenset()
    last: str | None = None
    local: bool = False
    with_services: bool = False
    own_stack: bool = False


@dataclass(frozen=True)
class Done:
    """``by`` does what the command does: a test, ``path::name``, or a word of ``.ci/run`` or of a step of the tests."""

    by: str


def _bench(module: str, *keys: str, with_services: bool = False, arguments: tuple[str, ...] = ()) -> Call:
    return Call((f"bench.{module}", *arguments), keys=frozenset(keys), with_services=with_services)


TRIED: dict[str, Call | Done] = {
    "run": Call(("suna_localstack.up", "run"), last=r".*\S.*", local=True, own_stack=True),
    "chat": Call(("clients.terminal", "--once", "[[say smoke]]"), last=r".*\S.*"),
    "up": Call(("suna_localstack.up", "up"), last=r"\s*described in .*stack\.json", local=True),
    "down": Done("tests/localstack/up/test_supervisor.py::test_nothing_survives_a_killed_supervisor_and_down"),
    "status": Call(("suna_localstack.up", "status"), last=r"\s*\S+.*", local=True),
    "logs": Call(("suna_localstack.up", "logs", "--no-follow"), last=r".*\S.*", local=True),
    "check": Done("scripts/test_step.sh::check"),
    "api-clients": Done("scripts/test_step.sh::api-clients"),
    "bench-first-token": _bench("first_token", "added_ms_p50", "echo_ms_p50", "bare_litellm_ms_p50", "runs"),
    "bench-context": _bench("context", "recount_over_build_cpu_200", "rows_read_200", "exact", with_services=True),
    "bench-log": _bench(
        "log", "events_per_s_ratio_100_readers", "redis_commands_ratio", "lag_p99_ratio", with_services=True
    ),
    "bench-stream": _bench(
        "stream", "streams_at_250ms", "lost_at_200", "lag_ms_p99_at_10", arguments=("--only", "load")
    ),
    "bench-limits": _bench("limits", "admitted_error_percent", "round_trips", "added_us_p50", with_services=True),
    "oracle": Done("tests/unit/test_oracle.py::test_the_differences_that_stay_are_documented"),
    "faults": Done(".ci/run::faults-once"),
    "faults-once": Done(".ci/run::faults-once"),
    "burst": Done(".ci/run::burst"),
    "cuts": Done("tests/e2e/test_cuts.py::test_clients_that_are_cut_off_end_with_what_the_others_have"),
    "security": Done(".ci/run::security"),
    "soak": _bench("soak", "conversations", "failed", "slopes_an_hour", "growing"),
    "house": Done(".ci/run::house"),
    "fresh-machine": Done("tests/localstack/up/test_machine.py::test_what_the_tests_need_is_installed_by_root"),
    "cost": Done("tests/infra/test_cost.py::test_the_documents_table_is_what_the_templates_cost"),
}

_ROW = re.compile(r"^\| (`make [^|]*) \|", re.MULTILINE)
_COMMAND = re.compile(r"`make ([a-z-]+)[^`]*`")


def readme_commands() -> list[str]:
    """The commands of the README's table, in its order."""
    rows = _ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    return [command for row in rows for command in _COMMAND.findall(row)]
