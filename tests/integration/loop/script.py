"""A model that says what a script says, in litellm's chunks."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from litellm.exceptions import BadRequestError, RateLimitError
from litellm.types.utils import (
    ChatCompletionDeltaToolCall,
    Delta,
    Function,
    ModelResponseStream,
    StreamingChoices,
    Usage,
)

from shared.domain import Json
from shared.llm import Llm
from shared.settings import ModelSettings, Price

MODEL = "openai/scripted"

type ToolName = Literal["put", "post", "pay", "sign", "fail", "ask", "complete", "missing", "nul\0"]
type Ending = Literal["stop", "length", "broken", "refused", "wrong", "empty", "filtered"]
type IdStyle = Literal["unique", "repeated", "none", "endless", "nul"]

# Tools that a person has to approve first; tools that may be repeated under the same call id.
NEED_APPROVAL = frozenset({"pay", "sign"})
IDEMPOTENT = frozenset({"put", "sign", "ask", "complete"})


@dataclass(frozen=True)
class Call:
    """A call in an answer; ``malformed``: with arguments that are no JSON, or text beside its parameters."""

    name: ToolName = "put"
    form: Literal["native", "xml"] = "native"
    malformed: bool = False


@dataclass(frozen=True)
class Answer:
    """What the model says next time.

    ``ending``: ``broken`` in the middle of the stream, before chunk ``breaks_at``; ``refused`` at once, by a busy
    provider, ``wrong`` by one that would refuse it again; ``empty`` says nothing.
    """

    calls: Sequence[Call] = ()
    ending: Ending = "stop"
    breaks_at: int = 1
    ids: IdStyle = "unique"


@dataclass
class Given:
    """An answer that was given, or begun, to one attempt; ``number`` is in its text and in its calls' tokens."""

    number: int
    answer: Answer
    attempt: int
    agent_run_id: Any
    messages: list[Json]
    whole: bool = False
    tokens: dict[str, Call] = field(default_factory=dict[str, Call])

    @property
    def text(self) -> str:
        """The text of the whole answer."""
        if self.answer.ending == "empty":
            return ""
        xml = [_xml(call, token) for token, call in self.tokens.items() if call.form == "xml"]
        block = f"\n<function_calls>\n{''.join(xml)}</function_calls>" if xml else ""
        return f"Answer {self.number}.{block}"


def _xml(call: Call, token: str) -> str:
    problem = "oops" if call.malformed else ""
    return (
        f'<invoke name="{call.name}">{problem}\n<parameter name="{_parameter(call)}">{token}</parameter>\n</invoke>\n'
    )


class ScriptedLlm(Llm):
    """Gives one answer after the other, to whoever asks; at the end of the script it is done.

    ``on_call`` is awaited before each answer with what the model was given, ``on_chunk`` before each chunk.
    """

    def __init__(self, on_call: Any, on_chunk: Any) -> None:
        free = {MODEL: Price(input=0, output=0)}
        super().__init__(ModelSettings(default_model=MODEL, model_prices=free))
        self._on_call = on_call
        self._on_chunk = on_chunk

    async def stream(self, *, messages: Sequence[Json], **_: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        """The next answer."""
        given: Given = await self._on_call(list(messages))
        match given.answer.ending:
            case "refused":
                raise RateLimitError("busy", llm_provider="openai", model=MODEL)
            case "wrong":
                raise BadRequestError("no", llm_provider="openai", model=MODEL)
            case _:
                return self._chunks(given)

    async def _chunks(self, given: Given) -> AsyncIterator[Any]:
        chunks = chunks_of(given)
        for number, chunk in enumerate(chunks):
            if given.answer.ending == "broken" and number == min(given.answer.breaks_at, len(chunks) - 1):
                raise RateLimitError("broken", llm_provider="openai", model=MODEL)
            given.whole = number == len(chunks) - 1
            await self._on_chunk()
            yield chunk


def chunks_of(given: Given) -> list[ModelResponseStream]:
    """The chunks of the whole answer."""
    answer = given.answer
    text = given.text
    half = len(text) // 2
    chunks = [_chunk(Delta(content=part)) for part in (text[:half], text[half:]) if part]
    native = [(token, call) for token, call in given.tokens.items() if call.form == "native"]
    for index, (token, call) in enumerate(native if answer.ending != "empty" else []):
        call_id = {
            **{"unique": f"call_{token}", "repeated": f"call_{index}", "none": None},
            # One that no index of PostgreSQL holds (by chance, or it would be packed), and one that no text of it does.
            **{"endless": random.Random(index).randbytes(1350).hex(), "nul": f"call\0{index}"},  # noqa: S311
        }[answer.ids]
        arguments = "{nonsense" if call.malformed else json.dumps(_arguments(call, token))
        for place, part in enumerate((arguments[:4], arguments[4:])):
            function = Function(name=call.name if place == 0 else None, arguments=part)
            delta = ChatCompletionDeltaToolCall(
                id=call_id if place == 0 else None, function=function, type="function", index=index
            )
            chunks.append(_chunk(Delta(content=None, tool_calls=[delta])))
    reason = {"length": "length", "filtered": "content_filter"}.get(answer.ending, "stop")
    if answer.ending == "filtered":
        chunks = []
    chunks.append(_chunk(Delta(content=None), finish_reason=reason))
    chunks.append(ModelResponseStream(choices=[], usage=Usage(prompt_tokens=10, completion_tokens=2, total_tokens=12)))
    return chunks


def _arguments(call: Call, token: str) -> Json:
    return {_parameter(call): token}


def _chunk(delta: Delta, *, finish_reason: str | None = None) -> ModelResponseStream:
    return ModelResponseStream(choices=[StreamingChoices(delta=delta, finish_reason=finish_reason)])


def _parameter(call: Call) -> str:
    return "text" if call.name in ("ask", "complete") else "token"
