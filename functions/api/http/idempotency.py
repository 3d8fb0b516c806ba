"""The ``Idempotency-Key`` of a request that creates something."""

import hashlib
import json
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from functions.api.http.identity import Caller
from functions.api.idempotency import Answer, NewOnce, without_key
from functions.api.values import is_form
from shared.database.idempotency import Once
from shared.domain import Json
from shared.errors import InvalidRequestError

LONGEST_KEY = 255


async def _idempotency(
    request: Request, caller: Caller, idempotency_key: Annotated[str | None, Header()] = None
) -> NewOnce:
    if idempotency_key is None:
        return without_key
    if not 0 < len(idempotency_key) <= LONGEST_KEY or not idempotency_key.isprintable():
        raise InvalidRequestError(f"an Idempotency-Key has 1 to {LONGEST_KEY} printable characters")
    body_hash = hashlib.sha256(await _canonical(request)).digest()

    def once(answer: Answer, *, status: int = 200) -> Once:
        return Once(
            account_id=caller.account_id,
            route=f"{request.method} {request.url.path}",
            key=idempotency_key,
            body_hash=body_hash,
            status=status,
            answer=lambda recorded: _json(answer(recorded)),
        )

    return once


async def _canonical(request: Request) -> bytes:
    """The body in one form, whatever its spaces, boundaries, and the order of its fields.

    What is no JSON stays as it is: its route refuses it.
    """
    if is_form(request.headers.get("content-type", "")):
        form = await request.form()
        fields = [
            (name, value if isinstance(value, str) else await _digest(value)) for name, value in form.multi_items()
        ]
        return json.dumps(sorted(fields)).encode()
    body = await request.body()
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode() if body else b""
    except (ValueError, RecursionError):
        return body


async def _digest(file: UploadFile) -> str:
    content = await file.read()
    await file.seek(0)
    return f"{file.filename}:{hashlib.sha256(content).hexdigest()}"


def _json(answer: BaseModel | Json) -> Json:
    return answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer


Idempotency = Annotated[NewOnce, Depends(_idempotency)]
