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


def test_a_page_is_its_text_with_its_links() -> None:
    assert html.text_of(PAGE, base_url="https://example.org/dir/").splitlines() == [
        "A & B",
        "Heading",
        "One line, with bold and a link (https://example.org/next?a=1&b=2).",
        "first",
        "second",
        "2 < 3 < 4 — İ script",
    ]


@given(st.text(alphabet=st.sampled_from('<>/!-&;"=# aphref script\n'), max_size=200))
def test_no_page_is_too_broken(page: str) -> None:
    assert isinstance(html.text_of(page, base_url="https://example.org/"), str)


def test_a_page_may_leave_tags_out() -> None:
    page = "<!DOCTYPE html><head><title>T</title><p>One<p>Two<header>Three</header>"
    assert html.text_of(page, base_url="https://example.org/").splitlines() == ["T", "One", "Two", "Three"]


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
    assert len(html.text_of(page, base_url="https://example.org/")) <= len(page)
