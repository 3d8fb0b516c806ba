"""Tool calls in the XML form, cut out of the text of a stream.

::

    <function_calls>
    <invoke name="tool">
    <parameter name="parameter">value</parameter>
    </invoke>
    </function_calls>

(Suna's form, which is also the one Claude was trained on.)
"""

from collections.abc import Callable
from typing import Literal
from uuid import UUID

from functions.runner.calls import strict_json
from functions.runner.calls.invocation import Invocation, form, xml_call
from functions.runner.calls.model import ToolCall
from functions.runner.calls.tags import Tag, TagKind, TagReader
from shared.domain import Json

BLOCK_END = "</function_calls>"

type _State = Literal["text", "block", "invoke", "parameter"]

# Which tags mean something where; everything else is text.
_TAGS: dict[_State, tuple[TagKind, ...]] = {
    "text": (TagKind.BLOCK,),
    "block": (TagKind.INVOKE, TagKind.BLOCK_END),
    "invoke": (TagKind.PARAMETER, TagKind.INVOKE_END, TagKind.INVOKE, TagKind.BLOCK_END),
    "parameter": (TagKind.PARAMETER_END,),
}


class XmlCalls:
    """Separates the text of one message into what people read and the calls.

    - Every ``<invoke>`` of every block is a call, given out at its ``</invoke>``. Tags are recognised in lower case,
      with spaces and line breaks inside (``</invoke >``) but for ``<function_calls>``, which is exactly that.
    - Blocks are markup and everything else is visible text, unknown tags too. Of visible text at most
      ``len("<function_calls>") - 1`` characters are held back, while they may become that tag.
    - A parameter's text is verbatim up to the first ``</parameter>``: ``<``, ``&``, entities, CDATA, line breaks and
      nested blocks are part of the value; ``</parameter>`` cannot be, not even in a JSON string. Names are unescaped.
    - A call is malformed if it has no name, a parameter without name or a parameter twice, text outside of its
      parameters, no ``</invoke>``, or a value that is not of the schema's type. So is what stands between the calls of
      a block and has a tag in it, a block without any call, and what the end of the text cuts off; a block whose
      calls are whole needs no ``</function_calls>``.
    - Ids are ``<message id>-x<index>``; the same text gives the same calls, however it is cut.

    The work is linear in the length of the text.
    """

    def __init__(self, message_id: UUID | str, schemas: Callable[[str], Json | None]) -> None:
        """``schemas`` gives the JSON Schema of a tool's parameters by its name, ``None`` for an unknown tool."""
        self._message_id = message_id
        self._schemas = schemas
        self._tags = TagReader()
        self._state: _State = "text"
        self._position = 0
        self._count = 0
        self._invocation: Invocation | None = None
        self._first_of_block = 0
        self._between: list[str] = []
        self._between_start = 0
        self._visible: list[str] = []
        self._calls: list[ToolCall] = []

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """Take more text; returns what of it is to be read, and the calls that are complete by now."""
        self._tags.feed(text)
        while (token := self._tags.next(_TAGS[self._state])) is not None:
            if isinstance(token, str):
                self._take_text(token)
            else:
                self._take_tag(token)
        return self._taken()

    def finish(self, *, cut_off: bool = False) -> tuple[str, list[ToolCall]]:
        """The text has ended: the last visible text, and a call with a problem if it ended inside of one.

        Args:
            cut_off: The answer reached its output limit (``finish_reason`` "length"); the model is told so. To let the
                model carry on with the text instead, go on with :meth:`feed`.
        """
        self._take_text(self._tags.rest())
        why = "your answer ended inside of it"
        if cut_off:
            why += " at its length limit (make the call shorter, or split the work over several calls)"
        if self._state == "block":
            self._end_between(why, is_last=True, is_cut=True)
        self._end_unclosed(why, end=self._position)
        self._state = "text"
        return self._taken()

    def _taken(self) -> tuple[str, list[ToolCall]]:
        visible, calls = "".join(self._visible), self._calls
        self._visible, self._calls = [], []
        return visible, calls

    def _take_text(self, text: str) -> None:
        self._position += len(text)
        match self._state, self._invocation:
            case "parameter", Invocation() as invocation:
                invocation.add_to_parameter(text)
            case "invoke", Invocation() as invocation:
                invocation.add_between(text)
            case "block", _:
                self._between.append(text)
            case _:
                self._visible.append(text)

    def _take_tag(self, tag: Tag) -> None:
        start = self._position
        self._position += len(tag.raw)
        match tag.kind, self._invocation:
            case TagKind.BLOCK, _:
                self._first_of_block = self._count
                self._begin_between()
            case TagKind.BLOCK_END, _:
                self._end_unclosed("its </invoke> is missing", end=start)
                self._end_between("there is no <invoke> for it", is_last=True)
                self._state = "text"
            case TagKind.INVOKE, _:
                self._end_unclosed("its </invoke> is missing", end=start)
                self._end_between("there is no <invoke> for it")
                self._invocation = Invocation(tag, start=start)
                self._state = "invoke"
                if tag.empty:
                    self._end_call(self._invocation, end=self._position)
            case TagKind.PARAMETER, Invocation() as invocation:
                invocation.begin_parameter(tag)
                self._state = "invoke" if tag.empty else "parameter"
            case TagKind.PARAMETER_END, Invocation() as invocation:
                invocation.add_end(tag)
                self._state = "invoke"
            case _, Invocation() as invocation:
                invocation.add_end(tag)
                self._end_call(invocation, end=self._position)
            case _:
                raise AssertionError(f"{tag.raw} is not looked for outside of a call")

    def _end_unclosed(self, problem: str, *, end: int) -> None:
        if self._invocation is not None:
            self._invocation.blame(problem)
            self._end_call(self._invocation, end=end)

    def _end_call(self, invocation: Invocation, *, end: int) -> None:
        schema = self._schemas(invocation.name)
        self._calls.append(invocation.call(message_id=self._message_id, index=self._count, end=end, schema=schema))
        self._count += 1
        self._invocation = None
        self._begin_between(end)

    def _begin_between(self, start: int | None = None) -> None:
        self._state = "block"
        self._between = []
        self._between_start = self._position if start is None else start

    def _end_between(self, problem: str, *, is_last: bool = False, is_cut: bool = False) -> None:
        """What stands between two calls, or before the first or after the last, has ended: is it a failed call?"""
        between = "".join(self._between)
        self._between = []
        raw = between.strip()
        empty_block = is_last and self._count == self._first_of_block
        half_end = is_cut and BLOCK_END.startswith(raw)
        if not empty_block and ("<" not in raw or half_end):
            return
        start = self._between_start + between.find(raw)
        what = strict_json.excerpt(raw) if raw else "An empty block"
        self._calls.append(
            xml_call(
                message_id=self._message_id,
                index=self._count,
                raw=raw,
                problem=f"{what} is no call: {problem}. {form()}",
                start=start,
                end=start + len(raw),
            )
        )
        self._count += 1
