"""What a reader sees of a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.runner.tools.network import html

PAGE = """<!DOCTYPE html><html><head><title>A &amp; B</title><style>p { color: red }</style>
<script>if (a < b) document.write("<p>never</p>")</script></head>
<body><!-- <p>hidden</p> --><h1>Heading</h1><p>One
line, with <b>bold</b>   and a <a class="x" href='/next?a=1&amp;b=2'>link</a>.</p><ul><li>first<li>second</ul>
<SCRIPT>also("never")</SCRIPT><p>2 < 3 &lt; 4 &#8212; İ <a href="javascript:x()">script</a></p></body></html>"""


def _text_of(page: str) -> str:
    text, is_whole = html.text_of(page, base_url="https://example.org/dir/", max_characters=100_000)
    assert is_whole
    return text


def test_a_page_is_its_text_with_its_links() -> None:
    assert _text_of(PAGE).splitlines() == [
        "A & B",
        "Heading",
        "One line, with bold and a link (https://example.org/next?a=1&b=2).",
        "first",
        "second",
        "2 < 3 < 4 — İ script",
    ]


@given(st.text(alphabet=st.sampled_from('<>/!-&;"=# aphref script\n'), max_size=200))
def test_no_page_is_too_broken(page: str) -> None:
    assert isinstance(_text_of(page), str)


def test_a_page_may_leave_tags_out() -> None:
    page = "<!DOCTYPE html><head><title>T</title><p>One<p>Two<header>Three</header>"
    assert _text_of(page).splitlines() == ["T", "One", "Two", "Three"]


HOSTILE = (
    "<" * 1_000_000,
    "< " * 500_000 + ">",
    "<!--" * 250_000,
    "<script" * 150_000,
    "<script>" * 150_000,
    "<a " * 300_000,
    "<a>" * 300_000,
    "<a href" + " " * 1_000_000,
    "<title" * 200_000,
    "</" * 500_000,
    "&" * 1_000_000,
    "&#" + "9" * 1_000_000,
    "\n " * 500_000,
    " \n" * 500_000,
)


@pytest.mark.parametrize("page", HOSTILE, ids=lambda page: page[:8])
def test_no_page_takes_for_ever_or_grows(page: str) -> None:
    # Work that grew with the square of the length would be hours here.
    text, _ = html.text_of(page, base_url="https://example.org/", max_characters=len(page))
    assert len(text) <= len(page)


def test_a_long_page_is_cut_where_its_text_is_long_enough() -> None:
    page = "<p>" + "many words, " * 10_000 + "<p>" + "x" * 100_000
    whole, is_whole = html.text_of(page, base_url="https://example.org/", max_characters=1_000_000)
    assert (len(whole), is_whole) == (220_000, True)
    for most in (1, 10, 119_999, 120_000, 219_999):
        assert html.text_of(page, base_url="https://example.org/", max_characters=most) == (whole[:most], False)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The lengths of what is looked at in one go, of texts, and where tags begin."""
    done: dict[str, list[int]] = {"texts": [], "tags": []}
    unescaped, tag = html._unescaped, html._tag

    def text_noted(text: str) -> str:
        done["texts"].append(len(text))
        return unescaped(text)

    def tag_noted(page: str, begin: int) -> tuple[int, str, str]:
        done["tags"].append(begin)
        return tag(page, begin)

    monkeypatch.setattr(html, "_unescaped", text_noted)
    monkeypatch.setattr(html, "_tag", tag_noted)
    return done


@pytest.mark.parametrize("page", [*HOSTILE, "a " * 2_500_000, "a<br>" * 1_000_000], ids=lambda page: page[:8])
def test_no_more_of_a_page_is_read_than_is_kept(page: str, work: dict[str, list[int]]) -> None:
    text, _ = html.text_of(page, base_url="https://example.org/", max_characters=10_000)
    assert len(text) <= 10_000
    assert len(work["tags"]) <= html.MOST_TAGS
    assert max(work["texts"], default=0) <= html.SLICE
    if page.startswith(("<<", "< ", "a ", "a<", "&&")):
        assert sum(work["texts"]) <= 10_000 + 2 * html.SLICE
        assert len(work["tags"]) <= 10_001
