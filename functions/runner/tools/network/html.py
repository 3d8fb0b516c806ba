"""What a reader sees of an HTML page: its text, with the targets of its links.

A scanner of one pass, not a parser: its time is linear in the page's length whatever the page holds, which
``html.parser`` of older Python 3.13 releases does not give (CVE-2025-6069).
"""

import html
import re
from urllib.parse import urljoin

# Elements whose content nobody reads.
_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "title"})
_BLOCKS = re.compile(
    "address|article|aside|blockquote|br|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|li"
    "|main|nav|ol|option|p|pre|section|summary|table|td|th|tr|ul"
)
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,20})")
_HREF = re.compile(r"""\shref\s?=\s?["']?([^"'\s>]{1,2000})""", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,500})", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*")


def text_of(page: str, *, base_url: str) -> str:
    """The text of ``page``, blocks on lines of their own; links as ``text (URL)``, the page's title first."""
    parts: list[str] = []
    if title := _TITLE.search(page, 0, 100_000):
        parts += [_unescaped(title[1]), "\n"]
    link: str | None = None
    at = 0
    while at < len(page):
        begin = page.find("<", at)
        if begin < 0:
            begin = len(page)
        parts.append(_unescaped(page[at:begin].replace("\n", " ")))
        at, name, tag = _tag(page, begin)
        if name in _UNSEEN:
            closed = re.compile(f"</{name}", re.IGNORECASE).search(page, at)
            at = len(page) if closed is None else closed.start()
        elif _BLOCKS.fullmatch(name):
            parts.append("\n")
        elif name == "<":
            parts.append(name)
        elif name == "a":
            if tag.startswith("/"):
                parts.append(f" ({link})" if link else "")
                link = None
            elif href := _HREF.search(tag):
                link = _target(base_url, href[1])
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(parts))).strip()


def _tag(page: str, begin: int) -> tuple[int, str, str]:
    """The tag at ``begin``: where the page goes on, its name, and what is inside it.

    The name is empty if the tag is of no interest, and "<" if there is none: "a < b".
    """
    if page.startswith("<!--", begin):
        end = page.find("-->", begin + 4)
        return (len(page) if end < 0 else end + 3), "", ""
    name = _NAME.match(page, begin + 1)
    if name is None and not page.startswith(("!", "?", "/"), begin + 1):
        return begin + 1, "<" if begin < len(page) else "", ""
    end = page.find(">", begin)
    if end < 0:
        return len(page), "", ""
    tag = page[begin + 1 : end]
    word = name[1].lower() if name else ""
    return end + 1, ("" if word in _UNSEEN and tag.startswith("/") else word), tag


def _target(base_url: str, href: str) -> str | None:
    try:
        target = urljoin(base_url, _unescaped(href))
    except ValueError:
        return None
    return target if target.startswith(("http://", "https://")) else None


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:
        # A character reference of thousands of digits.
        return text
