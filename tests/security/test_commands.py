"""Every command crossed with every kind of credential, over the WebSocket."""

from collections.abc import Callable

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from clients.terminal.stack import Stack
from functions.api.command_types import COMMANDS
from tests.e2e.conftest import RunningStack
from tests.e2e.following import command, nothing_came_early
from tests.security.counting import ANOTHER, READING
from tests.security.credentials import UNKNOWN, Secrets
from tests.security.routes import COMMAND_PARAMS, Property

pytestmark = pytest.mark.usefixtures("nothing_changes")

type Record = Callable[[str, object], None]

# They tell nothing, and change nothing: a stranger hears that it was done. A thread may be subscribed to before it
# is made; what happens in it is sent to connections of its own account only.
HARMLESS = frozenset({"ping", "subscription.subscribe", "subscription.unsubscribe"})


def _url(stack: RunningStack, owned: Property) -> str:
    return Stack(base_url=stack.base_url, token="").websocket_url(owned.values["thread_id"])


@pytest.fixture(scope="module")
async def used_ticket(http: httpx.AsyncClient, stack: RunningStack, owned: Property, secrets: Secrets) -> str:
    """A ticket that somebody has connected with."""
    ticket = (await http.post("/ws-tickets", headers=owned.headers)).json()["ticket"]
    secrets.add(ticket)
    async with connect(f"{_url(stack, owned)}?ticket={ticket}"):
        pass
    return ticket


@pytest.mark.parametrize("kind", [*UNKNOWN, "used ticket", "made-up ticket"])
async def test_an_unknown_caller_is_not_connected(
    stack: RunningStack, owned: Property, claiming: Callable[[str], dict[str, str]], used_ticket: str, kind: str
) -> None:
    url = _url(stack, owned)
    headers: dict[str, str] = {}
    match kind:
        case "used ticket":
            url += f"?ticket={used_ticket}"
        case "made-up ticket":
            url += "?ticket=abcdefghijklmnopqrstuvwxyz"
        case _:
            headers = claiming(kind)
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("method", sorted(COMMANDS))
async def test_another_account_reaches_nothing(
    stack: RunningStack, owned: Property, record_property: Record, method: str
) -> None:
    record_property("commands", (method, ANOTHER))
    headers = {"authorization": f"Bearer {stack.token('another account')}"}
    try:
        async with connect(_url(stack, owned), additional_headers=headers) as socket:
            answer = await command(socket, method, owned.params(COMMAND_PARAMS[method]))
            assert (answer["type"] == "success") == (method in HARMLESS), answer
            assert (await command(socket, "ping"))["type"] == "success"
            assert nothing_came_early(socket)
            assert "private" not in str(answer)
    except InvalidStatus as refused:
        assert refused.response.status_code == 404


@pytest.mark.parametrize("method", sorted(COMMANDS))
async def test_who_may_read_does_not_write(
    stack: RunningStack, owned: Property, record_property: Record, method: str
) -> None:
    record_property("commands", (method, READING))
    async with connect(_url(stack, owned), additional_headers=owned.reading) as socket:
        answer = await command(socket, method, owned.params(COMMAND_PARAMS[method]))
    if COMMANDS[method].scope == "write" and method != "ping":
        assert (answer["type"], answer["error"]) == ("error", "permission_denied"), answer
    else:
        assert answer["type"] == "success", answer


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) <= COMMAND_PARAMS.keys()
