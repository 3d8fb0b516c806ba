"""A last line that a program reads: ``pytest -p tests.counted --counted NAME`` ends with ``NAME: N checks, M failed``.

With ``SMALLEST`` one case of each check is enough: it shows that the checks work.
"""

from collections.abc import Generator
from typing import Any

import pytest

from bench.report import SMALLEST


def pytest_addoption(parser: pytest.Parser) -> None:
    """The name."""
    parser.addoption("--counted", required=True, metavar="NAME", help="what the last line begins with")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """At the smallest size: of each check its first case."""
    if SMALLEST:
        first = set({item.nodeid.partition("[")[0]: item for item in reversed(items)}.values())
        config.hook.pytest_deselected(items=[item for item in items if item not in first])
        items[:] = [item for item in items if item in first]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_unconfigure(config: pytest.Config) -> Generator[None]:
    """The last line of all."""
    result = yield
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    counts: dict[str, int] = {word: len(reporter.stats.get(word, [])) for word in ("passed", "failed", "error")}
    if counts["passed"] + counts["failed"] + counts["error"]:
        wrong = counts["failed"] + counts["error"]
        reporter.write_line(f"{config.option.counted}: {counts['passed'] + wrong} checks, {wrong} failed")
    return result
