"""The page: what is said in it, and what it shows of what is asked."""

from tests.mutants import Mutant

_SYNTAX = "clients/web/src/page/syntax.ts"
_HOSTILE = "tests/browser/test_hostile.py"
_IN_FRAMES = f"{_HOSTILE}::test_whatever_a_model_says_stays_in_its_frame"

MUTANTS = (
    Mutant(
        "page: answers are as deep as they like", _SYNTAX, "const DEEPEST = 24;", "const DEEPEST = 10_000;", _IN_FRAMES
    ),
    Mutant(
        "page: answers have as many blocks as they like",
        _SYNTAX,
        "const MOST_BLOCKS = 1000;",
        "const MOST_BLOCKS = 1_000_000;",
        _IN_FRAMES,
    ),
    Mutant(
        "page: tables have as many cells as they like",
        _SYNTAX,
        "const MOST_CELLS = 10_000;",
        "const MOST_CELLS = 10_000_000;",
        _IN_FRAMES,
    ),
    Mutant("page: answers are HTML", _SYNTAX, "html: false", "html: true", _IN_FRAMES),
    Mutant(
        "page: answers stand in no frame",
        "clients/web/src/styles/markdown.css",
        "  contain: paint;\n",
        "",
        _IN_FRAMES,
    ),
    Mutant(
        "page: what is not seen is not shown",
        "clients/web/src/page/format.ts",
        "  return text.replaceAll(UNSEEN, (one) =>",
        "  return text.replaceAll(UNSEEN && /(?!)/gu, (one) =>",
        f"{_HOSTILE}::test_an_approval_shows_what_will_be_done",
    ),
    Mutant(
        "page: a model's word is a tool's result",
        "clients/web/src/client/history.ts",
        '  if (entry.type !== "tool") return null;\n',
        "",
        "clients/web/tests/history.test.ts::that people or models wrote are not taken for results",
    ),
)
