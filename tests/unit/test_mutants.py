"""The lists of defences that ``make mutants`` takes out are of the code as it is."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.mutants import ROOT, Mutant
from tests.mutants.__main__ import AREAS

MUTANTS: list[Mutant] = [mutant for area in AREAS for mutant in import_module(f"tests.mutants.{area}").MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_is_taken_out_is_there_once_and_so_is_the_test_that_says_so(mutant: Mutant, tmp_path: Path) -> None:
    source = tmp_path / mutant.file
    source.parent.mkdir(parents=True)
    source.write_text((ROOT / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    mutant.put_into(tmp_path)
    if source.suffix == ".py":
        ast.parse(source.read_text(encoding="utf-8"))
    file, _, test = mutant.test.partition("::")
    tests = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".ts"):
        assert f'it("{test}"' in tests
        return
    named = ast.walk(ast.parse(tests))
    # Without one, the whole file is meant.
    assert test in {""} | {node.name for node in named if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_a_name_stands_for_one_of_them() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
