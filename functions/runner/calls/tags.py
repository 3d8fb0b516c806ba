"""Finds the tags that are looked for in a text that comes in pieces; everything else is text."""

import re
from dataclasses import dataclass, field
from enum import Enum
from re import Pattern

# A tag that does not end within so many characters is text. So the work a character can cost has a bound, too.
MAX_TAG = 500

_ATTRIBUTE = re.compile(r"""([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
# What may stand between a tag's head and its ">".
_NOTHING = re.compile(r"")
_SPACE = re.compile(r"\s*")
_ATTRIBUTES = re.compile(r"(?:[\s/][^<>]*)?")


class TagKind(Enum):
    """The tags of the XML form. ``<function_calls>`` is exactly that, so that no text has to wait for its end."""

    BLOCK = ("<function_calls", _NOTHING)
    BLOCK_END = ("</function_calls", _SPACE)
    INVOKE = ("<invoke", _ATTRIBUTES)
    INVOKE_END = ("</invoke", _SPACE)
    PARAMETER = ("<parameter", _ATTRIBUTES)
    PARAMETER_END = ("</parameter", _SPACE)

    def __init__(self, head: str, inside: Pattern[str]) -> None:
        self.head = head
        self.inside = inside


@dataclass(frozen=True)
class Tag:
    """A tag as it stands in the text (``raw``). ``empty``: it ends itself, as ``<invoke name="f"/>``.

    Attributes are in single or double quotes, with the five entities of XML; their values contain no ``<`` and ``>``
    but as entities.
    """

    kind: TagKind
    raw: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    empty: bool = False

    @classmethod
    def of(cls, kind: TagKind, raw: str) -> "Tag":
        """Read a tag."""
        inside = raw[len(kind.head) : -1]
        attributes: dict[str, str] = {}
        for match in _ATTRIBUTE.finditer(inside):
            attributes.setdefault(match[1], _unescaped(match[2] if match[3] is None else match[3]))
        return cls(kind, raw, attributes, inside.endswith("/"))


class TagReader:
    """Cuts a text into tags and the text between them, whatever the pieces are that it comes in.

    What is held back is the beginning of a tag that was asked for, and nothing else.
    """

    def __init__(self) -> None:
        self._held = ""
        self._at = 0

    def feed(self, text: str) -> None:
        """Take more text."""
        self._held = self._held[self._at :] + text
        self._at = 0

    def next(self, kinds: tuple[TagKind, ...]) -> Tag | str | None:
        """The next tag of one of ``kinds``, or the text before it; ``None`` when only more text can tell."""
        if self._at == len(self._held):
            return None
        undecided = False
        for kind in kinds:
            end = self._end_of(kind)
            if end is not None:
                return Tag.of(kind, self._take(end))
            undecided = undecided or self._may_become(kind)
        return None if undecided else self._take(self._held.find("<", self._at + 1))

    def rest(self) -> str:
        """What is held back: there will be no more, so that it is text."""
        return self._take(-1)

    def _take(self, end: int) -> str:
        start, self._at = self._at, len(self._held) if end < 0 else end
        return self._held[start : self._at]

    def _end_of(self, kind: TagKind) -> int | None:
        """Where the tag ends that begins here, if one does."""
        if not self._held.startswith(kind.head, self._at):
            return None
        limit = self._at + MAX_TAG
        inside = kind.inside.match(self._held, self._at + len(kind.head), limit)
        end = inside.end() if inside else limit
        return end + 1 if end < limit and self._held.startswith(">", end) else None

    def _may_become(self, kind: TagKind) -> bool:
        """Whether what is left of the text is the beginning of such a tag."""
        left = len(self._held) - self._at
        if left < len(kind.head):
            return kind.head.startswith(self._held[self._at :])
        if left >= MAX_TAG or not self._held.startswith(kind.head, self._at):
            return False
        inside = kind.inside.match(self._held, self._at + len(kind.head))
        return inside is not None and inside.end() == len(self._held)


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda match: _ENTITIES[match[1]], text)
