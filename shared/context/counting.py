"""How many tokens a message has, by the encoding of the model that is given it.

litellm's count is additive: that of a conversation is the sum of its messages' and ``PRIMING``, and tools add a
constant. So a message is counted once, and the count is stored.

Exact are the encodings that litellm brings with it: OpenAI's cl100k and o200k, and Anthropic's of before Claude 3.
Any other model is counted in cl100k, which is an approximation: its budget has a larger reserve, and a correction
that is learnt from the provider's own counts (``budget``). Nothing is ever fetched from a hub.

An image counts ``BLOCK_TOKENS`` (OpenAI's "low" detail 85): the most that Anthropic bills for one
(https://docs.claude.com/en/docs/build-with-claude/vision), and more than OpenAI does for one of 1024 x 1024. litellm
itself would download it to look at its size. Any other block counts as much at least; of what is encoded in it (a PDF,
a recording) each ``ENCODED_PER_TOKEN`` characters are a token, and all else is words, whatever the block is called:
nothing enters a context for less than it takes.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata, resources
from typing import Any, Literal, cast

import tiktoken

from shared.context.compression import RULE
from shared.database.context import Counter
from shared.domain import Json
from shared.llm import litellm

Encoding = Literal["cl100k", "o200k", "claude"]

# What every answer is primed with, whatever the conversation.
PRIMING = 3
BLOCK_TOKENS = 1600
LOW_DETAIL_TOKENS = 85
_FREE_BLOCKS = 100
# A page of a PDF has some 60 to 100 KB, and 1,500 to 3,000 tokens
# (https://docs.claude.com/en/docs/build-with-claude/pdf-support).
ENCODED_PER_TOKEN = 32

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*)(;[^,]{0,200})?;base64,")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_ENCODED_FIELDS = frozenset({"base64", "data", "file_data"})
_IMAGES = frozenset({"image", "image_url", "input_image"})

# A model of each encoding, by which litellm chooses it; Claude's it would only choose if it were allowed to download.
_MODELS: dict[Encoding, str] = {"cl100k": "gpt-4", "o200k": "gpt-4o", "claude": "claude-2"}

_BEFORE_CLAUDE_3 = re.compile(r"(^|\.)claude-(v?[12]\b|instant)")

_token_counter: Any = litellm.token_counter  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_create_tokenizer: Any = litellm.create_tokenizer  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

VERSION = f"litellm {metadata.version('litellm')}, {RULE}, blocks by size"


@dataclass(frozen=True)
class Family:
    """How a model's tokens are counted. ``exact``: by the model's own encoding."""

    encoding: Encoding
    exact: bool

    @property
    def counter(self) -> Counter:
        """Which stored counts are this family's."""
        return Counter(encoding=self.encoding, version=VERSION)


@cache
def family_of(model: str) -> Family:
    """The family of a model by its litellm name; a provider's prefix changes nothing."""
    name = model.rsplit("/", 1)[-1]
    if _BEFORE_CLAUDE_3.search(name):
        return Family("claude", exact=True)
    try:
        encoding = tiktoken.encoding_name_for_model(name)
    except KeyError:
        return Family("cl100k", exact=False)
    if encoding.startswith("o200k"):
        return Family("o200k", exact=True)
    return Family("cl100k", exact=encoding == "cl100k_base")


def count_message(message: Json, encoding: Encoding) -> int:
    """Tokens of one message in a conversation, ``PRIMING`` not among them."""
    countable, blocks = _without_blocks(message, encoding)
    return _count([countable], encoding) - PRIMING + blocks


_loaded: set[Encoding] = set()


async def load(encoding: Encoding) -> None:
    """Have an encoding at hand: its first use takes up to 0.4 s of CPU, which is not the event loop's to spend."""
    if encoding not in _loaded:
        await asyncio.to_thread(count_text, "", encoding)
        _loaded.add(encoding)


@lru_cache(maxsize=256)
def count_system(text: str, encoding: Encoding) -> int:
    """Tokens of a system prompt; it is the same on every turn."""
    return count_message({"role": "system", "content": text}, encoding)


def count_text(text: str, encoding: Encoding) -> int:
    """Tokens of a text by itself."""
    return _token_counter(model=_MODELS[encoding], custom_tokenizer=_tokenizer(encoding), text=text)


def count_tools(tools: list[Json], *, model: str, system: bool) -> int:
    """What ``tools`` (OpenAI's schemas) add to a conversation, with or without a system prompt in it."""
    if not tools:
        return 0
    encoding = family_of(model).encoding
    conversation: list[Json] = [{"role": "system" if system else "user", "content": ""}]
    return _count(conversation, encoding, tools=tools) - _count(conversation, encoding)


def _count(messages: list[Json], encoding: Encoding, **options: Any) -> int:
    return _token_counter(model=_MODELS[encoding], custom_tokenizer=_tokenizer(encoding), messages=messages, **options)


@cache
def _tokenizer(encoding: Encoding) -> Any:
    """The tokenizer that litellm has to be handed; ``None``: it knows."""
    if encoding != "claude":
        return None
    folder = resources.files("litellm.litellm_core_utils.tokenizers")
    return _create_tokenizer(folder.joinpath("anthropic_tokenizer.json").read_text(encoding="utf-8"))


def _without_blocks(message: Json, encoding: Encoding) -> tuple[Json, int]:
    """The message with nothing but text, and the tokens of what was taken out."""
    if not isinstance(message.get("content"), list):
        return message, 0
    texts: list[Json] = []
    tokens = 0
    for block in cast("list[Json]", message["content"]):
        if block.get("type") == "text":
            texts.append({"type": "text", "text": str(block.get("text", ""))})
            rest = {name: value for name, value in block.items() if name not in {"type", "text"}}
            tokens += _block_words(rest, encoding) if rest else 0
        else:
            tokens += _block_tokens(block, encoding)
    # Those that say nothing take their room all the same.
    return {**message, "content": texts}, tokens + max(0, len(texts) - _FREE_BLOCKS)


def _block_tokens(block: Json, encoding: Encoding) -> int:
    image: Any = block.get("image_url")
    low = isinstance(image, dict) and cast("Json", image).get("detail") == "low"
    return max(LOW_DETAIL_TOKENS if low else BLOCK_TOKENS, _block_words(block, encoding))


def _block_words(block: Json, encoding: Encoding) -> int:
    words, encoded = _taken_out(block, is_image=block.get("type") in _IMAGES)
    return count_text(json.dumps(words, ensure_ascii=False), encoding) + encoded // ENCODED_PER_TOKEN


def _taken_out(value: Any, *, is_image: bool, field: str = "") -> tuple[Any, int]:
    """What is words in a block, and how many characters of it encode something else than an image."""
    if isinstance(value, str):
        url = _DATA_URL.match(value)
        if url is not None:
            return "", 0 if is_image or url["type"].startswith("image/") else len(value)
        if field in _ENCODED_FIELDS and _BASE64.fullmatch(value):
            return "", 0 if is_image else len(value)
        return value, 0
    if isinstance(value, dict):
        fields = cast("Json", value)
        # What says of itself that it is text is, whatever characters it is made of.
        of_text = fields.get("type") == "text"
        taken = {
            name: _taken_out(inner, is_image=is_image, field="" if of_text else name) for name, inner in fields.items()
        }
        return {name: words for name, (words, _) in taken.items()}, sum(encoded for _, encoded in taken.values())
    if isinstance(value, list):
        items = [_taken_out(inner, is_image=is_image) for inner in cast("list[Any]", value)]
        return [words for words, _ in items], sum(encoded for _, encoded in items)
    return value, 0
