"""Counts that are stored once and added up are those of a recount."""

import json
import socket
from functools import cache
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.context.counting import (
    BLOCK_TOKENS,
    LOW_DETAIL_TOKENS,
    PRIMING,
    Encoding,
    count_message,
    count_text,
    count_tools,
    family_of,
)
from shared.domain import Json
from shared.llm import litellm

TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search the web.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string", "description": "what for"}, "limit": {"type": "integer"}},
                "required": ["query"],
            },
        },
    }
]

# A model of each exact family, and how litellm recounts for it.
EXACT: dict[Encoding, str] = {"cl100k": "gpt-4", "o200k": "gpt-4o", "claude": "claude-2"}


@cache
def _old_anthropic_tokenizer() -> Any:
    folder = resources.files("litellm.litellm_core_utils.tokenizers")
    return litellm.create_tokenizer((folder / "anthropic_tokenizer.json").read_text())


def recount(encoding: Encoding, messages: list[Json], **options: Any) -> int:
    """litellm's own count of a whole conversation, in the encoding's own tokenizer."""
    tokenizer = _old_anthropic_tokenizer() if encoding == "claude" else None
    return litellm.token_counter(model=EXACT[encoding], custom_tokenizer=tokenizer, messages=messages, **options)


texts = st.text(max_size=200) | st.sampled_from(["", "<|endoftext|>", "Grüße, 你好 🎉", "x" * 500, '{"a": 1}'])
calls = st.builds(
    lambda name, arguments: {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}},
    st.sampled_from(["search", "create_file"]),
    texts,
)
messages = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, texts),
    st.builds(
        lambda parts: {"role": "user", "content": [{"type": "text", "text": part} for part in parts]},
        st.lists(texts, max_size=3),
    ),
    st.builds(
        lambda text, called: {"role": "assistant", "content": text, "tool_calls": called},
        texts | st.none(),
        st.lists(calls, min_size=1, max_size=3),
    ),
    st.builds(lambda text: {"role": "tool", "tool_call_id": "c", "name": "search", "content": text}, texts),
)


@pytest.mark.parametrize("encoding", list(EXACT))
@settings(deadline=None)  # the first count of an encoding loads it
@given(conversation=st.lists(messages, min_size=1, max_size=8))
def test_the_sum_of_counts_is_the_recount(encoding: Encoding, conversation: list[Json]) -> None:
    total = sum(count_message(message, encoding) for message in conversation) + PRIMING
    assert total == recount(encoding, conversation)


@pytest.mark.parametrize("encoding", list(EXACT))
@pytest.mark.parametrize("system", [True, False])
def test_tools_add_a_constant(encoding: Encoding, system: bool) -> None:
    conversation: list[Json] = [{"role": "user", "content": "find it"}, {"role": "assistant", "content": "I will."}]
    if system:
        conversation.insert(0, {"role": "system", "content": "You are helpful."})
    total = sum(count_message(message, encoding) for message in conversation) + PRIMING
    model = EXACT[encoding]
    assert total + count_tools(TOOLS, model=model, system=system) == recount(encoding, conversation, tools=TOOLS)
    assert count_tools([], model=model, system=system) == 0


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("gpt-4", "cl100k", True),
        ("openai/gpt-4-turbo", "cl100k", True),
        ("azure/gpt-35-turbo", "cl100k", True),
        ("gpt-4o", "o200k", True),
        ("openai/gpt-4.1-mini", "o200k", True),
        ("openrouter/openai/gpt-5", "o200k", True),
        ("o3", "o200k", True),
        ("ft:gpt-4o-mini:suna", "o200k", True),
        ("claude-2.1", "claude", True),
        ("anthropic/claude-instant-1.2", "claude", True),
        ("bedrock/anthropic.claude-v2:1", "claude", True),
        ("anthropic/claude-sonnet-4-5", "cl100k", False),
        ("claude-3-5-haiku-20241022", "cl100k", False),
        ("gemini/gemini-2.5-pro", "cl100k", False),
        ("openai/scripted", "cl100k", False),
        ("replicate/meta/llama-2-70b-chat", "cl100k", False),
        ("groq/llama-3.3-70b", "cl100k", False),
        ("cohere/command-r", "cl100k", False),
    ],
)
def test_a_model_is_counted_in_its_family(model: str, encoding: str, exact: bool) -> None:
    family = family_of(model)
    assert (family.encoding, family.exact) == (encoding, exact)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-2", "replicate/meta/llama-2-70b-chat", "command-r", "llama-3-8b"])
def test_no_count_opens_a_connection(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"a count connects to {arguments!r}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    image = {"type": "image_url", "image_url": {"url": "https://example.com/large.png", "detail": "high"}}
    message: Json = {"role": "user", "content": [{"type": "text", "text": "hello"}, image]}
    assert count_message(message, family_of(model).encoding) > BLOCK_TOKENS


def test_images_and_other_blocks_count_by_a_rule() -> None:
    text: Json = {"type": "text", "text": "What is it?"}
    alone = count_message({"role": "user", "content": [text]}, "o200k")

    def with_block(block: Json) -> int:
        return count_message({"role": "user", "content": [text, block]}, "o200k") - alone

    data = "data:image/png;base64," + "A" * 100_000
    assert with_block({"type": "image_url", "image_url": {"url": data}}) == BLOCK_TOKENS
    assert with_block({"type": "image_url", "image_url": "https://example.com/a.png"}) == BLOCK_TOKENS
    assert with_block({"type": "image_url", "image_url": {"url": data, "detail": "low"}}) == LOW_DETAIL_TOKENS
    assert with_block({"type": "file", "file": {"file_data": data}}) == BLOCK_TOKENS
    pdf = "JVBERi0x" * 40_000
    for block in (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{pdf}"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}},
        {"type": "file", "base64": pdf, "mime_type": "application/pdf"},
    ):
        assert with_block(block) == pytest.approx(len(pdf) / 32, rel=0.01)


WORDS = "antidisestablishmentarianism " * 2000


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": WORDS}},
        {"type": "document", "source": {"type": "text", "data": WORDS.replace(" ", "")}},
        {"type": "b", "x": WORDS},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "x": WORDS},
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}, "title": WORDS},
        {"type": "text", "text": "hello", "x": WORDS},
        {"text": WORDS},
        {"type": "b", "x": [[0]] * 4000},
        {"type": "b", WORDS: 1},
    ],
    ids=lambda block: str(block)[:40],
)
def test_nothing_enters_a_context_for_less_than_it_takes(block: Json) -> None:
    """Whatever a block is called: providers read it, and this process walks it on the way."""
    size = len(json.dumps(block))
    for encoding in EXACT:
        assert count_message({"role": "user", "content": [block]}, encoding) > size / 8


def test_blocks_that_say_nothing_take_room() -> None:
    blocks: list[Json] = [{"type": "text", "text": ""}] * 5000
    assert count_message({"role": "user", "content": blocks}, "o200k") >= 4900


def test_the_encodings_differ_where_they_should() -> None:
    text = "Здравствуй, мир! 你好，世界！" * 5
    counts = {encoding: count_text(text, encoding) for encoding in EXACT}
    assert len(set(counts.values())) == 3
