"""The scripted model's record of its calls: when it said what, by its own clock."""

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Call:
    """``text``: the last message; times in seconds since 1970."""

    text: str
    started_at: float
    first_token_at: float
    finished_at: float | None
    tokens: int


class Model:
    """The scripted model of the running stack."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=30)

    async def call(self, mark: str) -> Call:
        """The last call whose messages contain ``mark``."""
        answer = await self._http.get("/calls", params={"contains": mark, "last": 1})
        return _call(answer.json()["calls"][0])

    async def calls(self, mark: str) -> list[Call]:
        """Every call kept whose messages contain ``mark`` (the model keeps 500)."""
        answer = await self._http.get("/calls", params={"contains": mark, "last": 500})
        return [_call(fields) for fields in answer.json()["calls"]]

    async def own_delay_ms(self, mark: str) -> float:
        """From the model's receipt of the call that contains ``mark`` to its first token, in milliseconds."""
        call = await self.call(mark)
        return (call.first_token_at - call.started_at) * 1000


def _call(fields: dict[str, Any]) -> Call:
    return Call(
        text=fields["body"]["messages"][-1]["content"],
        started_at=fields["started_at"],
        first_token_at=fields["first_token_at"],
        finished_at=fields["finished_at"],
        tokens=fields["tokens"],
    )
