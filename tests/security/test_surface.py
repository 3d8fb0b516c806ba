"""What has to be tried is found, and what was not tried everywhere does not count. Needs no stack."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, WebSocket
from pydantic import BaseModel, Field, TypeAdapter
from starlette.routing import Host, Router
from starlette.staticfiles import StaticFiles

from functions.api.command_types import COMMANDS
from functions.api.http.identity import Caller
from functions.api.http.refused import REFUSED
from tests.security.counting import CELLS, READERS, STATES, Trial, line
from tests.security.fields import FIELDS, NAMES_NOTHING, Leaf, fields_of, filled, leaves, of_route
from tests.security.reading import READ, read_here, read_in
from tests.security.routes import routes
from tests.security.surface import PUBLIC, all_served, served, unaccounted


def test_every_route_asks_who_it_is_or_somebody_has_said_why_not() -> None:
    assert unaccounted(all_served()) == []
    # ... and of nothing else.
    assert set(PUBLIC) == {str(one) for one in all_served() if not one.authenticates}
    assert len(routes()) == len(all_served()) - len(PUBLIC)


def test_what_is_not_built_is_what_is_refused() -> None:
    assert {str(one) for one in all_served() if not one.is_built} == {
        f"{method} {path}" for method, path, *_ in REFUSED
    }


def test_nothing_that_an_application_answers_is_overlooked(tmp_path: Path) -> None:
    app, inner, router = (
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        FastAPI(openapi_url=None),
        APIRouter(),
    )

    @app.get("/hidden", include_in_schema=False)
    @app.api_route("/both", methods=["PUT", "DELETE"])
    @inner.post("/inner")
    @router.patch("/routed")
    async def nobody() -> None: ...  # pyright: ignore[reportUnusedFunction]

    @router.get("/known")
    async def known(_caller: Caller) -> None: ...  # pyright: ignore[reportUnusedFunction]

    @router.websocket("/socket")
    async def socket(_socket: WebSocket) -> None: ...  # pyright: ignore[reportUnusedFunction]

    app.include_router(router, prefix="/more", include_in_schema=False)
    app.mount("/below", inner)
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.router.routes.append(Host("other.example", Router()))
    found = {str(one) for one in served(app.routes)}
    assert found == {
        "GET /hidden",
        "PUT /both",
        "DELETE /both",
        "POST /below/inner",
        "PATCH /more/routed",
        "GET /more/known",
        "WEBSOCKET /more/socket",
        "MOUNT /files",
        "HOST ",
    }
    assert set(unaccounted(served(app.routes))) == found - {"GET /more/known"}


def test_every_field_is_crossed_or_somebody_has_said_why_not() -> None:
    assert [str(field) for field in FIELDS if not field.kinds] == []
    # Every reason is one of something that there is.
    said = [leaf for route in all_served() if route.is_built for leaf in of_route(route)]
    said += [leaf for name, command in COMMANDS.items() for leaf in _leaves(command.params, owner=name)]
    there = {f"{leaf.owner}.{leaf.name}" for leaf in said}
    assert {name for names in NAMES_NOTHING.values() for name in names} - there == set()


def _leaves(of: Any, *, owner: str) -> Iterator[Leaf]:
    yield from leaves(TypeAdapter(of).json_schema(), ("body",), owner=owner)


def test_what_is_read_past_the_fields_is_known() -> None:
    found: dict[str, set[str]] = {}
    for one in read_here():
        file, function, what = one.split(" ")
        found.setdefault(f"{file} {function}", set()).add(what)
    assert found == {where: set(read.split()) for where, (read, _) in READ.items()}


_READS = """
async def route(given: Annotated[Request, "x"], caller: Caller, event: dict):
    given.query_params["thread"]
    await elsewhere(given)
    headers: Json = event.get("headers") or {}
    cookies = headers.get("cookie")
    caller.account_id, {}.get("what")
"""


def test_a_new_read_is_found() -> None:
    assert {one.rpartition(" ")[2] for one in read_in(_READS, "a.py")} == {
        *("query_params", "elsewhere()", "headers", "cookie")
    }


class _Inner(BaseModel):
    parent_id: str | None = None
    at: Annotated[int, Field(ge=0)] = 0


class _Body(BaseModel):
    whole: dict[str, Any] = {}
    inner: list[_Inner] = []
    after: int | str | None = None
    pointer: str | None = None
    name: str = ""
    number: int = 0
    is_new: bool = False


def test_a_new_field_is_found_wherever_it_stands() -> None:
    found = fields_of("a route", _leaves(_Body | None, owner="a route"))
    assert {str(field): set(field.kinds) for field in found} == {
        "a route body.after": {"text"},
        "a route body.inner.[].parent_id": {"text"},
        "a route body.whole": {"open"},
        # Nobody knows what they are: it fails, whatever is known of fields that are called the same elsewhere.
        "a route body.inner.[].at": set(),
        "a route body.name": set(),
        "a route body.number": set(),
        "a route body.pointer": set(),
    }
    assert filled({"inner": [{"at": 1}, {"at": 2}]}, ("inner", "[]", "parent_id"), "x") == {
        "inner": [{"at": 1, "parent_id": "x"}, {"at": 2}]
    }


def test_what_a_dependency_and_a_cookie_say_is_found() -> None:
    router = APIRouter()

    def chosen(x_from: Annotated[str, Header()], page: int = 0) -> str:
        return f"{x_from}{page}"

    @router.get("/new")
    async def new(  # pyright: ignore[reportUnusedFunction]
        _caller: Caller, _chosen: Annotated[str, Depends(chosen)], source_id: Annotated[str | None, Cookie()] = None
    ) -> str:
        return source_id or ""

    [route] = served(router.routes)
    assert {str(field): set(field.kinds) for field in fields_of(route, of_route(route))} == {
        "GET /new cookie.source_id": {"text"},
        "GET /new header.x-from": set(),
        "GET /new query.page": set(),
    }


def _everything(there: dict[str, list[str]]) -> Iterator[Trial]:
    for kind, names in there.items():
        for name in names:
            yield from ((kind, name, cell) for cell in CELLS[kind])


THERE = {
    "routes": ["GET /a", "POST /a"],
    "not_built": ["GET /b"],
    "commands": sorted(COMMANDS),
    "fields": ["POST /a body.id"],
}


def test_what_was_tried_everywhere_counts() -> None:
    assert line(_everything(THERE), THERE) == {
        "routes": "2 of 2",
        "commands": f"{len(COMMANDS)} of {len(COMMANDS)}",
        "fields": "1 of 1",
        "not_built": 1,
        "readers": len(READERS),
        "states": len(STATES),
    }


@pytest.mark.parametrize(
    ("kind", "cell", "said"),
    [
        ("routes", "expired", {"routes": "1 of 2"}),
        ("routes", "stranger, old", {"routes": "1 of 2", "readers": 5, "states": 2}),
        ("not_built", "who may only read", {"not_built": 0}),
        ("fields", "another account", {"fields": "0 of 1"}),
    ],
)
def test_what_was_left_out_once_does_not(kind: str, cell: str, said: dict[str, Any]) -> None:
    name = THERE[kind][0]
    left = [trial for trial in _everything(THERE) if trial != (kind, name, cell)]
    assert line(left, THERE) == line(_everything(THERE), THERE) | said
