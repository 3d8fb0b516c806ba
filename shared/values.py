"""How many values a JSON text has, counted before anybody makes objects, or errors, of them.

Four megabytes of ``[1,1,1,...]`` are two million values.
"""

import re

# An escaped quotation mark ends no string. None reaches over a line, and no string of JSON does either.
_ESCAPE = re.compile(rb"\\[^\n]")
_STRING = re.compile(rb'"[^"\n]*+"?')
# Each value follows one of these, but for a document that is a single one.
_MARKS = (b",", b"[", b"{")


def count_at_most(text: bytes) -> int:
    """No fewer values than ``text`` has, and quickly: what is in its strings counts, too."""
    return sum(map(text.count, _MARKS))


class ValueCount:
    """Counts the values of a JSON text in UTF-8 that comes in parts: containers, items of lists, members of objects.

    Args:
        events: it is a stream of server-sent events. What is counted is the values of one, lines that are no data
            included; so no line can have a quotation mark hide the next.
    """

    def __init__(self, *, events: bool = False) -> None:
        self._events = events
        self._count = 0
        # What means something only with the next part: half of an escape, or of the end of a line or an event.
        self._held = b""
        self._in_string = False

    def take(self, part: bytes) -> int:
        """The values so far, or of the event that has most of those in ``part``, with what it had before."""
        text = self._whole(part)
        if self._in_string:
            text = b'"' + text
        text = _ESCAPE.sub(b"", text)
        self._in_string = text[text.rfind(b"\n") + 1 :].count(b'"') % 2 == 1
        text = _STRING.sub(b"", text)
        most = 0
        for number, event in enumerate(text.split(b"\n\n") if self._events else (text,)):
            if number:
                self._count = 0
            self._count += count_at_most(event)
            most = max(most, self._count)
        return most

    def _whole(self, part: bytes) -> bytes:
        """What was held and ``part``, with "\\n" at the ends of lines, up to what has to be held again."""
        text = self._held + part
        held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.rstrip(b"\n")
        # Two are as good as many.
        held = text[len(lines) :][:2] + held
        if not held and (len(lines) - len(lines.rstrip(b"\\"))) % 2:
            held, lines = b"\\", lines[:-1]
        self._held = held
        return lines
