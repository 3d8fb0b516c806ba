"""What a docstring says: the description, and a text for each parameter.

Understood are the three common layouts (Google's ``Args:``, NumPy's underlined ``Parameters``, Sphinx's
``:param name:``) and plain lines ``name: text`` of names that are parameters.
"""

import inspect
import re
from collections.abc import Collection
from dataclasses import dataclass, field

_ARGS = re.compile(r"(args|arguments|parameters|params):\s*", re.IGNORECASE)
# Other sections of Google's and NumPy's layouts: they are for programmers and end the description.
_OTHER = re.compile(
    r"(returns?|yields?|raises|examples?|notes?|warnings?|see also|references|attributes|todo):?\s*", re.IGNORECASE
)
_UNDERLINE = re.compile(r"-{3,}\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?")
_SPHINX_ENTRY = re.compile(r":param\s+(?:[^:]*\s)?(\w+):\s*(.*)")
_SPHINX_OTHER = re.compile(r":(type|returns?|rtype|raises?|yields?)\b.*")


@dataclass
class Docstring:
    """``parameters`` holds every name that is documented, in order, whether or not there is such a parameter."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class _Reader:
    names: Collection[str]
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    description: list[str] = field(default_factory=list[str])
    section: str = "description"
    current: str | None = None
    entry_indent: int | None = None

    def entry(self, name: str, text: str) -> None:
        self.current = name
        self.parameters[name] = text.strip()

    def more(self, text: str) -> None:
        if self.current is not None and text:
            self.parameters[self.current] = f"{self.parameters[self.current]} {text}".strip()


def parse(text: str | None, names: Collection[str]) -> Docstring:
    """The parts of docstring ``text``, of a function with the parameters ``names``."""
    lines = inspect.cleandoc(text or "").splitlines()
    reader = _Reader(names)
    skip = False
    for number, line in enumerate(lines):
        if skip:
            skip = False
            continue
        stripped = line.strip()
        at_margin = line[:1] not in ("", " ", "\t")
        underlined = number + 1 < len(lines) and _UNDERLINE.fullmatch(lines[number + 1].strip()) is not None
        if at_margin and underlined:
            is_parameters = stripped.lower() in ("parameters", "other parameters", "args", "arguments")
            reader.section, reader.current = ("numpy" if is_parameters else "other"), None
            skip = True
        elif at_margin and _ARGS.fullmatch(stripped):
            reader.section, reader.current, reader.entry_indent = "google", None, None
        elif at_margin and stripped.endswith(":") and _OTHER.fullmatch(stripped):
            reader.section, reader.current = "other", None
        else:
            _line(reader, stripped, indent=len(line) - len(line.lstrip()))
    return Docstring(_paragraphs(reader.description), reader.parameters)


def _line(reader: _Reader, stripped: str, *, indent: int) -> None:
    if sphinx := _SPHINX_ENTRY.fullmatch(stripped):
        reader.section = "sphinx"
        reader.entry(sphinx[1], sphinx[2])
    elif _SPHINX_OTHER.fullmatch(stripped):
        reader.section, reader.current = "other", None
    elif reader.section == "google":
        _google(reader, stripped, indent)
    elif reader.section == "numpy":
        _numpy(reader, stripped, indent)
    elif reader.section == "sphinx":
        reader.more(stripped)
    elif reader.section in ("description", "plain"):
        _plain(reader, stripped, indent)


def _google(reader: _Reader, stripped: str, indent: int) -> None:
    if not stripped:
        return
    if indent == 0:
        # A section ends where the text returns to the margin.
        reader.section, reader.current = "description", None
        reader.description += ["", stripped]
        return
    if reader.entry_indent is None:
        reader.entry_indent = indent
    entry = _GOOGLE_ENTRY.fullmatch(stripped)
    if entry and indent <= reader.entry_indent:
        reader.entry(entry[1], entry[2])
    else:
        reader.more(stripped)


def _numpy(reader: _Reader, stripped: str, indent: int) -> None:
    if indent == 0 and stripped and (entry := _NUMPY_ENTRY.fullmatch(stripped)):
        reader.entry(entry[1], "")
    elif indent:
        reader.more(stripped)


def _plain(reader: _Reader, stripped: str, indent: int) -> None:
    entry = _GOOGLE_ENTRY.fullmatch(stripped)
    if entry and entry[1] in reader.names:
        reader.section = "plain"
        reader.entry(entry[1], entry[2])
    elif reader.section == "plain" and stripped and indent:
        reader.more(stripped)
    else:
        reader.section, reader.current = "description", None
        reader.description.append(stripped)


def _paragraphs(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
