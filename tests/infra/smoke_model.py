"""What the groups `runner` and `summarizer` need of their bundles: litellm with a server given as argument.

Run by `test_bundles.py` in a process of its own, with the bundle as the only thing on the path. Any connection that
does not go to this machine is an error.
"""

import asyncio
import json
import socket
import sys
from typing import Any

_connect = socket.socket.connect


def connect(self: socket.socket, address: Any) -> None:
    """Connect to this machine only."""
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"connection to {address!r}")
    _connect(self, address)


socket.socket.connect = connect  # type: ignore[method-assign]

import asyncpg.protocol.protocol  # noqa: E402
import litellm  # noqa: E402
import redis.asyncio.cluster  # noqa: E402

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers",
            "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        },
    }
]


async def stream(base_url: str, messages: list[dict[str, str]]) -> str:
    """Text of a streamed answer."""
    chunks: Any = await litellm.acompletion(
        model="openai/scripted", api_base=base_url, api_key="k", messages=messages, tools=TOOLS, stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


def main(base_url: str) -> None:
    """Call the server with and without streaming, count tokens, and print what came of it."""
    litellm.disable_hf_tokenizer_download = True
    messages = [{"role": "user", "content": "What is 1 + 2?"}]
    answer: Any = litellm.completion(
        model="openai/scripted", api_base=base_url, api_key="k", messages=messages, tools=TOOLS
    )
    sys.stdout.write(
        json.dumps(
            {
                "tool": answer.choices[0].message.tool_calls[0].function.name,
                "streamed": asyncio.run(stream(base_url, messages)),
                "gpt_4o": litellm.token_counter(model="gpt-4o", messages=messages),
                "claude": litellm.token_counter(model="claude-sonnet-4-5", messages=messages),
                "window": litellm.get_model_info("gpt-4o")["max_input_tokens"],
                "modules": [asyncpg.__name__, redis.asyncio.cluster.__name__],
            }
        )
    )


main(sys.argv[1])
