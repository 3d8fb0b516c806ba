"""Native tool calls, put together from the deltas of a stream."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, Protocol, cast
from uuid import UUID

from functions.runner.calls import strict_json
from functions.runner.calls.model import ToolCall
from shared.domain import LONGEST_CALL_ID, Json

_ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_CALL_ID}}}")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_NAME = 200


class Delta(Protocol):
    """One member of a chunk's ``delta.tool_calls``: a mapping, or litellm's object, which reads like one.

    ``{"index": int | None, "id": str | None, "function": {"name": str | None, "arguments": str | None}}``
    """

    def get(self, key: str, /) -> Any:
        """The field, or ``None``."""
        ...


class NativeCalls:
    """The native calls of one message.

    OpenAI's rule is that deltas are keyed by ``index`` and that id and name come once, with the first. Providers
    differ, so:

    - a delta without index belongs to the call with its id; without both, a name begins a call and the rest goes on
      with the last one;
    - a name may come in several deltas, until the arguments begin; a name that comes again with the same id is not
      added once more;
    - a new id at a known index begins another call only if a name comes with it (some servers send every call with
      index 0, others a new id with every delta); without ids, so does a name after whole arguments;
    - an id that is missing, taken by another call, or cannot be kept is replaced by ``<message id>-<index>``;
    - what cannot be kept of a name is replaced, and it is cut: there is no such tool anyway;
    - arguments that are empty mean ``{}``.

    A call is given out when another one begins and its arguments are a whole JSON object by then (with deltas that
    interleave they may not be), else by :meth:`finish`; always in the order in which the calls began. What still comes
    for a call that was given out is ignored: nothing but spaces can follow a whole object.
    """

    def __init__(self, message_id: UUID | str) -> None:
        self._message_id = message_id
        self._by_index: dict[int, _Draft] = {}
        self._by_id: dict[str, _Draft] = {}
        self._waiting: list[_Draft] = []
        self._last: _Draft | None = None
        self._ids: set[str] = set()
        self._count = 0

    def feed(self, deltas: Iterable[Delta] | None) -> list[ToolCall]:
        """Take a chunk's deltas; returns the calls that are complete by now."""
        calls: list[ToolCall] = []
        for fragment in map(_Fragment.of, deltas or ()):
            draft = self._draft_of(fragment)
            if draft is None:
                calls += self._whole_ones()
                draft = _Draft()
                self._waiting.append(draft)
            self._last = draft
            draft.add(fragment)
            if fragment.index is not None:
                self._by_index[fragment.index] = draft
            if draft.call_id:
                self._by_id.setdefault(draft.call_id, draft)
        return calls

    def finish(self, *, cut_off: bool = False) -> list[ToolCall]:
        """The stream has ended: the calls that are left, malformed ones included.

        Args:
            cut_off: The answer reached its output limit (``finish_reason`` "length"), so that the last call may be
                incomplete though it looks whole: with no arguments at all it becomes a problem.
        """
        waiting, self._waiting = self._waiting, []
        return [self._call(draft, cut_off=cut_off, last=draft is waiting[-1]) for draft in waiting]

    def _draft_of(self, fragment: "_Fragment") -> "_Draft | None":
        """The call that ``fragment`` goes on with; ``None`` if it begins one."""
        if fragment.index is not None:
            draft = self._by_index.get(fragment.index)
        elif fragment.call_id in self._by_id:
            draft = self._by_id[fragment.call_id]
        else:
            draft = None if fragment.name else self._last
        return None if draft is not None and draft.is_followed_by(fragment) else draft

    def _whole_ones(self) -> list[ToolCall]:
        calls: list[ToolCall] = []
        while self._waiting and self._waiting[0].is_whole():
            calls.append(self._call(self._waiting.pop(0), cut_off=False, last=False))
        return calls

    def _call(self, draft: "_Draft", *, cut_off: bool, last: bool) -> ToolCall:
        index, self._count = self._count, self._count + 1
        own = (f"{self._message_id}-{number}" for number in count(index))
        given = [draft.call_id] if _ID.fullmatch(draft.call_id) else []
        call_id = next(call_id for call_id in chain(given, own) if call_id not in self._ids)
        self._ids.add(call_id)
        name = _NOT_IN_NAMES.sub("\ufffd", draft.name)[:_LONGEST_NAME]
        raw = "".join(draft.arguments)
        arguments: Json | None = None
        problem: str | None = None
        try:
            arguments = draft.read(raw, may_be_empty=not (cut_off and last))
        except ValueError as error:
            problem = _problem(name, str(error), cut_off=cut_off)
        return ToolCall(
            call_id=call_id,
            index=index,
            name=name,
            arguments=arguments,
            raw=raw,
            form="native",
            problem=problem,
        )


@dataclass(frozen=True)
class _Fragment:
    """A delta, with what is missing as ``None`` (the index) or empty."""

    index: int | None
    call_id: str
    name: str
    arguments: str

    @classmethod
    def of(cls, delta: Delta) -> "_Fragment":
        index, call_id, function = delta.get("index"), delta.get("id"), delta.get("function")
        name = function.get("name") if function is not None else None
        arguments = function.get("arguments") if function is not None else None
        return cls(
            index=index if isinstance(index, int) else None,
            call_id=call_id if isinstance(call_id, str) else "",
            name=name if isinstance(name, str) else "",
            arguments=arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments),
        )


@dataclass
class _Draft:
    """A call that is being received."""

    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])

    def add(self, fragment: _Fragment) -> None:
        """Take the next delta of this call."""
        said_again = bool(self.call_id) and fragment.call_id == self.call_id and fragment.name == self.name
        self.call_id = self.call_id or fragment.call_id
        if not self.arguments and not said_again:
            self.name += fragment.name
        if fragment.arguments:
            self.arguments.append(fragment.arguments)

    def is_followed_by(self, fragment: _Fragment) -> bool:
        """Whether ``fragment`` begins another call, though it came with this one's index."""
        if not fragment.name or not self.name:
            return False
        if self.call_id and fragment.call_id:
            return fragment.call_id != self.call_id
        return (fragment.name != self.name or bool(fragment.arguments.strip())) and self.is_whole()

    def is_whole(self) -> bool:
        """Whether the arguments are there, and nothing can follow them."""
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            return bool(self.name) and isinstance(strict_json.parse("".join(self.arguments)), dict)
        except ValueError:
            return False

    def read(self, raw: str, *, may_be_empty: bool) -> Json:
        """The arguments. Raises ValueError, for the model to read."""
        if not self.name:
            raise ValueError("it names no tool")
        if not raw.strip():
            if may_be_empty:
                return {}
            raise ValueError("its arguments are missing")
        try:
            arguments: Any = strict_json.parse(raw)
        except ValueError as error:
            raise ValueError(f"its arguments are not valid JSON: {error}") from None
        if not isinstance(arguments, dict):
            raise ValueError(f"its arguments are not a JSON object but {strict_json.excerpt(raw)}")
        return cast("Json", arguments)


def _problem(name: str, why: str, *, cut_off: bool) -> str:
    called = f"The call of {name!r}" if name else "The call"
    advice = 'Send the arguments as one JSON object, such as {"parameter": "value"}.'
    if cut_off:
        advice = "Your answer reached its length limit: make the call shorter, or split the work over several calls."
    return f"{called} was not executed: {why}. {advice}"
