"""A stranger who names another's things in a field of a request gets nothing of them, and changes nothing of them."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from clients.terminal.stack import Stack
from functions.api.assistants import DEFAULT_ASSISTANT_UUID
from functions.api.command_types import COMMANDS
from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.following import command, eventually, next_frame, subscribed
from tests.e2e.threads import ended_run, start_run
from tests.security.counting import ANOTHER
from tests.security.credentials import Secrets
from tests.security.fields import FIELDS, UUID, Field, Place, filled
from tests.security.routes import COMMAND_PARAMS, Property, Route, property_of, routes
from tests.security.surface import Json, Served

QUIET_S = 0.2
SAID: Json = {"role": "user", "content": "[[first 0]] [[rate 0]] [[say hi]]"}
# Valid requests where the smallest that a route takes has no room for its fields, or does nothing.
BODIES: dict[str, Json] = {
    "/threads/{thread_id}/state": {"values": {"messages": [SAID]}},
    "/runs/cancel": {"status": "all"},
}
ROUTES = {str(route): route for route in routes()}
OF_ROUTES = [field for field in FIELDS if isinstance(field.of, Served)]
OF_COMMANDS = [field for field in FIELDS if not isinstance(field.of, Served)]

type Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Victim:
    """``mark``: a word in all that it has; ``named``: ids of it that others name; ``unnamed``: all other ids of it."""

    owned: Property
    mark: str
    named: dict[str, str]
    unnamed: set[str]

    async def snapshot(self, http: httpx.AsyncClient) -> list[Any]:
        """All of it, as its owner sees it."""
        queued = f"/threads/{self.named['thread_id']}/runs/{self.named['queued_run_id']}"
        run = (await http.get(queued, headers=self.owned.headers)).json()
        assert run["status"] == "pending"
        return [await self.owned.snapshot(http), run]


@pytest.fixture(scope="module")
async def victim(stack: RunningStack, secrets: Secrets) -> Victim:
    """An account with a thread, a file, an assistant and a run that waits; each says the mark."""
    account_id, mark = str(uuid.uuid4()), f"private{uuid.uuid4().hex}"
    client = stack.client_of(account_id)
    secrets.add(mark)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=client.headers, timeout=60) as http:
        form = {"prompt": (None, f"[[say {mark}]]"), "files": (f"{mark}.txt", mark.encode(), "text/plain")}
        begun = (await http.post("/api/agent/initiate", files=form)).json()
        thread_id: str = begun["thread_id"]
        await ended_run(http, {"thread_id": thread_id, "run_id": begun["agent_run_id"]})
        [stored] = (await http.get(f"/threads/{thread_id}/files")).json()
        owned = await property_of(stack, secrets, account_id, thread_id=thread_id, said=mark)
        (await http.patch(f"/threads/{thread_id}", json={"metadata": {"mark": mark}})).raise_for_status()
        config = {"configurable": {"system_prompt": mark}}
        assistant = {"name": mark, "description": mark, "config": config, "metadata": {"mark": mark}}
        path = f"/assistants/{owned.values['assistant_id']}"
        (await http.patch(path, json=assistant)).raise_for_status()
        idempotency_key = str(uuid.uuid4())
        once = await http.post(
            f"/threads/{thread_id}/runs",
            json={"assistant_id": "agent", "input": {"messages": [SAID]}, "metadata": {"mark": mark}},
            headers={"idempotency-key": idempotency_key},
        )
        await ended_run(http, once.raise_for_status().json())
        queued = await start_run(http, thread_id, f"[[say {mark}]]", after_seconds=3600, metadata={"mark": mark})
        async with subscribed(client, thread_id, since=0) as socket:
            event = await next_frame(socket)
    named = {name: owned.values[name] for name in ("thread_id", "run_id", "assistant_id", "key_id", "checkpoint_id")}
    named |= {
        "file_id": stored["file_id"],
        "queued_run_id": queued["run_id"],
        "event_id": event["event_id"],
        "idempotency_key": idempotency_key,
        "account_id": account_id,
    }
    return Victim(owned, mark, named, set())


@pytest.fixture(scope="module")
async def stranger(stack: RunningStack, secrets: Secrets) -> Property:
    """Another account, with room for what it tries."""
    owned = await property_of(stack, secrets)
    await give_plan(
        stack,
        owned.account_id,
        requests_per_minute=1_000_000,
        request_burst=1_000_000,
        max_waits=1000,
        max_thread_messages=None,
    )
    return owned


@pytest.fixture(scope="module")
async def before(http: httpx.AsyncClient, victim: Victim) -> list[Any]:
    """The victim's things before anybody names them: its owner finds the mark in them."""
    found = await victim.snapshot(http)
    text = json.dumps(found, default=sorted)
    assert text.count(victim.mark) > 5
    victim.unnamed.update({*UUID.findall(text)} - {*victim.named.values(), str(DEFAULT_ASSISTANT_UUID)})
    assert len(victim.unnamed) > 5
    return found


@pytest.fixture(scope="module", autouse=True)
async def nothing_arrives(http: httpx.AsyncClient, stranger: Property, victim: Victim) -> AsyncGenerator[None]:
    """Whatever was tried, nothing of the victim's is among the stranger's things afterwards."""
    yield
    assert victim.mark not in json.dumps(await stranger.snapshot(http), default=sorted)


def _base(route: Route) -> Route:
    """The route, with a request that is valid and quick."""
    body: Any = json.loads(json.dumps(BODIES.get(route.path, route.body)).replace("[[say hi]]", SAID["content"]))
    return Route(route.method, route.path, body, is_form=route.is_form)


def _with(request: Json, place: Place, value: Any) -> Json:
    """The request with ``value`` at the place."""
    where, *rest = place
    if where == "query":
        return {**request, "params": filled(request.get("params"), tuple(rest), value)}
    if where == "cookie":
        return {**request, "cookies": filled(request.get("cookies"), tuple(rest), value)}
    if where == "header":
        return {**request, "headers": {**request["headers"], rest[0]: value}}
    if "files" in request:
        return {**request, "files": {**request["files"], rest[0]: (None, value)}}
    return {**request, "json": filled(request.get("json"), tuple(rest), value)}


def _requests(field: Field, headers: dict[str, str], mine: dict[str, str], named: dict[str, str]) -> Iterator[Json]:
    """Requests for one's own things with what is ``named`` in the field, in each way to take what is there."""
    request = {**_base(ROUTES[str(field.of)]).request(mine), "headers": headers}
    choices = [other for other in FIELDS_OF_CHOICE if other.of == field.of]
    for value in field.values(named):
        one = _with(request, field.place, value)
        # One of the words is what counts where none is said.
        ways = [_with(one, choice.place, word) for choice in choices for word in choice.words]
        yield from ways or [one]


@dataclass(frozen=True)
class Choice:
    """A field that says what to do with what is there, or is not, and the words it takes."""

    of: Served
    place: Place
    words: tuple[str, ...]


def _choices() -> Iterator[Choice]:
    for field in {field.of: field for field in OF_ROUTES}.values():
        assert isinstance(field.of, Served)
        yield from (Choice(field.of, place, words) for place, words in field.of.choices())


FIELDS_OF_CHOICE = [*_choices()]


@pytest.mark.parametrize("route", sorted({str(field.of) for field in OF_ROUTES}))
async def test_a_strangers_own_requests_are_good(http: httpx.AsyncClient, stranger: Property, route: str) -> None:
    """Else nothing would come of naming something in them."""
    request = _base(ROUTES[route]).request(stranger.values)
    await _idle(http, stranger)
    answer = await http.request(**request, headers=stranger.headers)
    assert answer.is_success, answer.text


@pytest.mark.parametrize("field", OF_ROUTES, ids=str)
async def test_naming_anothers_thing_gets_and_changes_nothing(
    http: httpx.AsyncClient,
    stranger: Property,
    victim: Victim,
    before: list[Any],
    record_property: Record,
    *,
    field: Field,
) -> None:
    record_property("fields", (str(field), ANOTHER))
    await _idle(http, stranger)
    for request in _requests(field, stranger.headers, stranger.values, victim.named):
        answer = await http.request(**request)
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
        _is_about(field, answer)
        _tells_nothing(answer.text, victim)
    assert await victim.snapshot(http) == before


async def _idle(http: httpx.AsyncClient, stranger: Property) -> None:
    """The runs that the stranger has started have ended: while one goes on, its thread takes no messages."""

    async def status() -> str:
        path = f"/threads/{stranger.values['thread_id']}"
        return (await http.get(path, headers=stranger.headers)).json()["status"]

    await eventually(status, lambda word: word != "busy")


def _is_about(field: Field, answer: httpx.Response) -> None:
    """A request that is refused as not valid is so because of the field: else nothing was tried."""
    if answer.status_code == 422 and answer.json()["detail"]:
        name = next(part for part in reversed(field.place) if part != "[]")
        assert all(name in problem["field"] for problem in answer.json()["detail"]), answer.text


def _tells_nothing(told: str, victim: Victim) -> None:
    """What was told has nothing of the victim's; ids that the stranger has named stand in its own things, too."""
    assert victim.mark not in told
    assert not [value for value in victim.unnamed if value in told]


@pytest.fixture
async def socket(stack: RunningStack, stranger: Property) -> AsyncGenerator[ClientConnection]:
    """A connection of the stranger's, on its own thread."""
    url = Stack(base_url=stack.base_url, token="").websocket_url(stranger.values["thread_id"])
    async with connect(url, additional_headers=stranger.headers) as found:
        yield found


@pytest.mark.parametrize("field", OF_COMMANDS, ids=str)
async def test_naming_it_in_a_command_does_not_either(
    http: httpx.AsyncClient,
    stranger: Property,
    victim: Victim,
    before: list[Any],
    socket: ClientConnection,
    *,
    record_property: Record,
    field: Field,
) -> None:
    record_property("fields", (str(field), ANOTHER))
    method = str(field.of)
    base = json.loads(json.dumps(stranger.params(COMMAND_PARAMS[method])).replace("[[say hi]]", SAID["content"]))
    for value in field.values(victim.named):
        params = filled(base, field.place[1:], value)
        answer = await command(socket, method, params)
        _tells_nothing(json.dumps(answer), victim)
    heard: list[Json] = []
    with suppress(TimeoutError, ConnectionClosed):
        while True:
            async with asyncio.timeout(QUIET_S):
                heard.append(await next_frame(socket))
    _tells_nothing(json.dumps(heard), victim)
    assert await victim.snapshot(http) == before


def test_the_fields_are_of_what_there_is() -> None:
    assert {str(field.of) for field in OF_COMMANDS} <= set(COMMANDS)
    assert {str(field.of) for field in OF_ROUTES} <= set(ROUTES)
