"""What a reader sees of an HTML page: its text, with the targets of its links.

A scanner of one pass, not a parser: its time is linear in the page's length whatever the page holds, which
``html.parser`` of older Python 3.13 releases does not give (CVE-2025-6069), and bounded.
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
_TITLE = re.compile(r"<title[^>]{0,200}+>([^<]{0,500})", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*")

# Of a page's text so much is looked at in one go: in between, other threads of the process get the interpreter.
SLICE = 16_384
# What a page may cost: its tags, and all else that begins with "<". Very large pages have tens of thousands.
MOST_TAGS = 100_000
_TITLE_WITHIN = 32_768
# Of a tag: what is looked through for its link.
_MAX_TAG = 8_192


def text_of(page: str, *, base_url: str, max_characters: int) -> tuple[str, bool]:
    """The text of ``page``, blocks on lines of their own; links as ``text (URL)``, the page's title first.

    No more of the page is read than makes ``max_characters``, or has ``MOST_TAGS``; the second value says whether that
    is all of it.
    """
    text = _Text(max_characters)
    if title := _TITLE.search(page, 0, _TITLE_WITHIN):
        text.add(_unescaped(title[1]))
        text.add("\n")
    link: str | None = None
    at = 0
    for _ in range(MOST_TAGS):
        if at >= len(page):
            return text.whole(), not text.is_full
        begin = page.find("<", at)
        if begin < 0:
            begin = len(page)
        text.read(page, at, begin)
        if text.is_full:
            break
        at, name, tag = _tag(page, begin)
        if name in _UNSEEN:
            at = _closing(page, name, at)
        elif _BLOCKS.fullmatch(name):
            text.add("\n")
        elif name == "<":
            text.add(name)
        elif name == "a":
            if tag.startswith("/"):
                text.add(f" ({link})" if link else "")
                link = None
            elif href := _HREF.search(tag):
                link = _target(base_url, href[1])
    return text.whole(), False


class _Text:
    """Text that is being put together, spaces and lines as they are read; more than ``most`` is not needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[str] = []
        self._length = 0
        self._end = "\n"

    @property
    def is_full(self) -> bool:
        """Whether there is more than is needed."""
        return self._length > self._most

    def read(self, page: str, begin: int, end: int) -> None:
        """Add what stands between two tags, in slices, until there is enough."""
        for at in range(begin, end, SLICE):
            self.add(_unescaped(page[at : min(at + SLICE, end)].replace("\n", " ")))
            if self.is_full:
                return

    def add(self, text: str) -> None:
        """Add a part. Spaces and ends of lines that change nothing take no room: a page may have millions."""
        text = _SPACES.sub(" ", text)
        if self._end in " \n":
            text = text.lstrip(" ")
        if text == "\n" and self._end == "\n":
            text = ""
        if text:
            self._parts.append(text)
            self._length += len(text)
            self._end = text[-1]

    def whole(self) -> str:
        """All of it, up to ``most`` characters."""
        return _LINES.sub("\n", "".join(self._parts)).strip()[: self._most]


def _closing(page: str, name: str, at: int) -> int:
    """Where the element ``name`` that has begun before ``at`` is closed, or the page's end."""
    closing = re.compile(f"</{name}", re.IGNORECASE)
    for slice_at in range(at, len(page), SLICE):
        if found := closing.search(page, slice_at, slice_at + SLICE + len(name) + 1):
            return found.start()
    return len(page)


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
    tag = page[begin + 1 : min(end, begin + _MAX_TAG)]
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
