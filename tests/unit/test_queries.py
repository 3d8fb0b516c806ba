"""Named queries."""

from pathlib import Path

import pytest

from shared.database import queries as loader

FOLDER = Path(loader.__file__).parent / "sql"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of queries of the test's own."""
    monkeypatch.setattr(loader, "_FOLDER", tmp_path)
    loader.queries.cache_clear()
    return tmp_path / "things.sql"


def test_each_statement_stands_under_its_name(file: Path) -> None:
    file.write_text("-- what the file is about\n\n-- name: first\n-- why\nSELECT 1\n\n-- name: second\nSELECT 2\n")
    assert loader.queries("things") == {"first": "-- why\nSELECT 1", "second": "SELECT 2"}


def test_a_name_that_stands_twice_is_refused(file: Path) -> None:
    file.write_text("-- name: get\nSELECT 1\n-- name: get\nSELECT 2\n")
    with pytest.raises(ValueError, match=r"'things'.*'get'"):
        loader.queries("things")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.sql")))
def test_every_file_of_the_project_loads(name: str) -> None:
    loader.queries.cache_clear()
    statements = loader.queries(name)
    assert statements
    assert all(statements.values()), "a name without a statement"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.sql")))
def test_which_plan_an_account_has_is_asked_in_one_way(name: str) -> None:
    # What a deleted account had from its operator counts before it begins anew: `plan_of` knows that.
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    assert "SELECT plan_id FROM accounts" not in text
    assert "'default'" not in text
