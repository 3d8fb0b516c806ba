"""OpenAI's chat completion objects: chunks of a stream, whole answers, usage, errors."""

import json
import secrets
import time
from typing import Any

from suna_localstack.model.script import Call


def count_tokens(value: object) -> int:
    """A deterministic stand-in for a tokenizer: four characters a token."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return max(1, len(text) // 4)


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def error(status: int, message: str) -> dict[str, Any]:
    """OpenAI's error body; ``type`` and ``code`` as its clients match on them."""
    kinds = {
        400: ("invalid_request_error", None),
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("rate_limit_error", "rate_limit_exceeded"),
    }
    kind, code = kinds.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def tool_call(index: int, identifier: str, call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": index, "id": identifier, "type": "function", "function": function}


class ChunkWriter:
    """Server-sent events of one stream; what never changes is encoded once, as a token costs microseconds."""

    def __init__(self, model: str) -> None:
        self.identifier = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._model = model
        head = {"id": self.identifier, "object": "chat.completion.chunk", "created": self._created, "model": model}
        self._head = b"data: " + json.dumps(head)[:-1].encode()

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        return self._head + b', "choices": ' + json.dumps(choices).encode() + b"}\n\n"

    def role(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def token(self, kind: str, text: str) -> bytes:
        return b"".join(
            (
                self._head,
                b', "choices": [{"index": 0, "delta": {"',
                kind.encode(),
                b'": ',
                json.dumps(text).encode(),
                b'}, "logprobs": null, "finish_reason": null}]}\n\n',
            )
        )

    def tool_calls(self, index: int, identifier: str, call: Call) -> list[bytes]:
        """A call as a provider streams it: first the id and name, then pieces of the arguments keyed by ``index``."""
        first = tool_call(index, identifier, Call(call.name, ""))
        step = max(1, (len(call.arguments) + 2) // 3)
        pieces = [call.arguments[start : start + step] for start in range(0, len(call.arguments), step)]
        return [
            self._chunk({"tool_calls": [first]}),
            *(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in pieces),
        ]

    def finish(self, reason: str) -> bytes:
        return self._chunk({}, reason)

    def usage(self, prompt_tokens: int, completion_tokens: int) -> bytes:
        body = json.dumps(usage(prompt_tokens, completion_tokens)).encode()
        return self._head + b', "choices": [], "usage": ' + body + b"}\n\n"

    @staticmethod
    def done() -> bytes:
        return b"data: [DONE]\n\n"

    def whole(self, message: dict[str, Any], reason: str, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
        """The answer of a request without ``stream``."""
        return {
            "id": self.identifier,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": usage(prompt_tokens, completion_tokens),
        }
