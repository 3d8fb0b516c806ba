"""The FastAPI application: routes, error mapping, one middleware for limits, ids and logs."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from functions.api.errors import CODES, INTERNAL, appearance
from functions.api.http import (
    account,
    agents,
    api_keys,
    assistants,
    commands,
    files,
    messages,
    refused,
    run_streams,
    runs,
    suna,
    thread_states,
    threads,
    tickets,
    webhooks,
)
from functions.api.http.description import describe, operation_id
from functions.api.http.middleware import RequestMiddleware
from functions.api.version import VERSION
from functions.api.wire import ErrorBody
from shared.database.idempotency import ReplayedError
from shared.errors import SunaError
from shared.telemetry import logger

# More of them tell nobody more.
_MOST_PROBLEMS = 100


def build_app() -> FastAPI:
    """The application, with nothing opened yet."""
    app = FastAPI(
        title="Suna Serverless",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    app.add_middleware(RequestMiddleware)
    app.add_exception_handler(ReplayedError, _replayed)
    app.add_exception_handler(SunaError, _suna_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _internal_error)

    @app.get("/ok", tags=["system"])
    async def get_health() -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]
        """Whether the service answers. Needs no token and touches nothing."""
        return {"ok": True}

    @app.get("/docs", include_in_schema=False)
    async def show_docs() -> RedirectResponse:  # pyright: ignore[reportUnusedFunction]
        """To the description of this API, which is served beside the chat page: no script of anybody else's."""
        return RedirectResponse("/app/docs.html")

    modules = (
        agents,
        assistants,
        threads,
        thread_states,
        messages,
        files,
        run_streams,
        runs,
        commands,
        suna,
        tickets,
        api_keys,
        webhooks,
        account,
        refused,
    )
    routers = [module.router for module in modules]
    for router in (*routers, runs.account_router):
        app.include_router(router)
    describe(app)
    return app


def _answer(status: int, code: str, message: str, detail: object = None, headers: Any = ()) -> JSONResponse:
    body = ErrorBody(code=code, message=message, detail=detail)
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=dict(headers))


async def _replayed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ReplayedError)  # noqa: S101 - registered for this class only
    return JSONResponse(error.answer, status_code=error.status, headers={"idempotency-replayed": "true"})


async def _suna_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SunaError)  # noqa: S101 - registered for this class only
    look = appearance(error)
    if look.is_fault:
        logger.error("request failed", exc_info=error)
    headers = dict(look.headers)
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return _answer(look.status, look.code, error.message, error.detail, headers)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"]), "problem": problem["msg"]}
        for problem in error.errors()[:_MOST_PROBLEMS]
    ]
    first = problems[0]
    return _answer(422, "invalid_argument", f"{first['field']}: {first['problem']}", problems)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    message = f"there is no {request.method} {request.url.path}" if error.status_code in {404, 405} else error.detail
    return _answer(error.status_code, CODES.get(error.status_code, "error"), message, headers=error.headers or {})


async def _internal_error(_request: Request, error: Exception) -> JSONResponse:
    # The client gets no detail: the log has it, under the request id of the answer's header.
    logger.error("request failed", exc_info=error)
    return _answer(INTERNAL.status, INTERNAL.code, "something went wrong on our side; it has been logged")
