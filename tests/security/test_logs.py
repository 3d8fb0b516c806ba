"""After all the others: what the stack has written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import RunningStack
from tests.security.credentials import Secrets

# AWS's own side, here: LocalStack logs what it is asked, and it is asked for the secrets.
_FILES = "suna-local-*.log"


def _lines(stack: RunningStack) -> Iterator[tuple[Path, str]]:
    for file in Path(stack.fields["log_dir"]).glob(_FILES):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            yield file, line


def test_no_log_holds_a_secret_or_what_was_said(stack: RunningStack, secrets: Secrets) -> None:
    assert len(secrets.strings) > 20, "the other tests have to run before this one"
    lines = list(_lines(stack))
    assert len(lines) > 500
    found = [(file.name, line[:300]) for file, line in lines for secret in secrets.strings if secret in line]
    assert not found, found[:5]


@pytest.mark.parametrize("word", ["Bearer ey", "sk_suna_", "postgresql://", "?ticket=", "AWS_SECRET_ACCESS_KEY="])
def test_no_log_holds_what_looks_like_a_secret(stack: RunningStack, word: str) -> None:
    found = [(file.name, line[:300]) for file, line in _lines(stack) if word in line]
    assert not found, found[:5]
