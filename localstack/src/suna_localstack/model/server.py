"""The HTTP server: ``/v1/chat/completions``, ``/v1/models``, and ``/calls`` for tests."""

import asyncio
import hashlib
import json

from aiohttp import web

from suna_localstack.json_types import Json, is_array, is_object
from suna_localstack.model.calls import CallLog, CallRecord
from suna_localstack.model.conversation import plan
from suna_localstack.model.player import ConnectionCut, play_stream, play_whole
from suna_localstack.model.script import ScriptError, Status, Turn
from suna_localstack.model.wire import ChunkWriter, count_tokens, error

FIRST_DELAY_HEADER = "x-model-first-delay-ms"
_MAX_BODY = 32 * 1024 * 1024


class ScriptedModel:
    """The model's routes.

    Args:
        first_s: seconds before the first token, unless the script says ``[[first ...]]``. Reported in the response
            header ``x-model-first-delay-ms``, so that a measurement can subtract it.
    """

    def __init__(self, *, first_s: float = 0.05) -> None:
        self._first_s = first_s
        self.log = CallLog()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._completions),
                web.get("/v1/models", self._models),
                web.get("/calls", self._calls),
                web.delete("/calls", self._clear),
                web.get("/health", self._health),
            ]
        )
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": "scripted", "object": "model", "created": 1700000000, "owned_by": "suna"}
        return web.json_response({"object": "list", "data": [model]})

    async def _calls(self, request: web.Request) -> web.Response:
        last = int(request.query.get("last", "500"))
        return web.json_response(self.log.view(contains=request.query.get("contains", ""), last=last))

    async def _clear(self, _: web.Request) -> web.Response:
        self.log.clear()
        return web.Response(status=204)

    def _refusal(self, turn: Turn, body: Json) -> Status | None:
        for position, status in enumerate(turn.statuses):
            if status.times is None:
                return status
            # Without a key of its own a failure belongs to this very conversation, so that tests do not share it.
            text = json.dumps(body["messages"], sort_keys=True) + str(position)
            key = status.key or hashlib.sha256(text.encode()).hexdigest()
            if self.log.failures(key) < status.times:
                return status
        return None

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            return web.json_response(error(400, "the body is no JSON"), status=400)
        if not is_object(body) or not is_array(body.get("messages")):
            return web.json_response(error(400, "messages must be a list"), status=400)
        record = self.log.open(body)
        try:
            turn = plan(body["messages"])
        except ScriptError as problem:
            return self._refuse(record, Status(400), str(problem))
        refusal = self._refusal(turn, body)
        if refusal is not None:
            return self._refuse(record, refusal, f"scripted status {refusal.status}")
        first_s = self._first_s if turn.first_s is None else turn.first_s
        record.first_delay_ms = first_s * 1000
        try:
            await asyncio.sleep(first_s)
            response = await self._answer(request, body, turn, record)
        except ConnectionCut:
            record.end("broken")
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # goes nowhere: the connection is gone
        except (asyncio.CancelledError, ConnectionResetError):
            record.end("cancelled")
            raise
        record.end("completed")
        return response

    def _refuse(self, record: CallRecord, status: Status, message: str) -> web.Response:
        record.status = status.status
        record.end("refused")
        headers = {} if status.retry_after_s is None else {"retry-after": f"{status.retry_after_s:g}"}
        return web.json_response(error(status.status, message), status=status.status, headers=headers)

    async def _answer(self, request: web.Request, body: Json, turn: Turn, record: CallRecord) -> web.StreamResponse:
        writer = ChunkWriter(str(body.get("model", "scripted")))
        prompt_tokens = count_tokens(body["messages"])
        headers = {FIRST_DELAY_HEADER: f"{record.first_delay_ms:g}"}
        if not body.get("stream"):
            whole = await play_whole(turn, writer, record, prompt_tokens=prompt_tokens)
            return web.json_response(whole, headers=headers)
        headers |= {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        options: Json = body.get("stream_options") or {}
        await play_stream(
            turn,
            writer,
            record,
            response.write,
            prompt_tokens=prompt_tokens,
            include_usage=bool(options.get("include_usage")),
        )
        await response.write_eof()
        return response
