"""Every route crossed with every kind of credential."""

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.conftest import RunningStack
from tests.security.credentials import UNKNOWN
from tests.security.routes import NOT_SERVED, PUBLIC, Property, Route, routes

pytestmark = pytest.mark.usefixtures("nothing_changes")

ROUTES = [route for route in routes() if (route.method, route.path) not in PUBLIC]
# Keys are managed with a token only.
KEYLESS = frozenset({"GET /api-keys"})


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_an_unknown_caller_is_refused(
    http: httpx.AsyncClient, owned: Property, claiming: Callable[[str], dict[str, str]], route: Route, kind: str
) -> None:
    headers = claiming(kind)
    answer = await http.request(**route.request(owned.values), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), answer.text


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_another_account_finds_nothing(
    http: httpx.AsyncClient, stack: RunningStack, owned: Property, route: Route
) -> None:
    headers = {"authorization": f"Bearer {stack.token('another account')}"}
    answer = await http.request(**route.request(owned.values), headers=headers)
    if route.path.endswith("/commands"):
        assert (answer.json()["type"], answer.json()["error"]) == ("error", "invalid_argument"), answer.text
    elif route.names:
        assert answer.status_code in {404, NOT_SERVED}, answer.text
    assert "this is private" not in answer.text
    # It is told of nothing but what it has named itself.
    known = {owned.account_id, *owned.values.values()} - {"x", *route.named(owned.values)}
    assert not [value for value in known if value in answer.text]


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_who_may_read_does_not_write(http: httpx.AsyncClient, owned: Property, route: Route) -> None:
    answer = await http.request(**route.request(owned.values), headers=owned.reading)
    if route.is_writing or str(route) in KEYLESS:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    else:
        # What is asked for is there: so the other tests ask for something.
        assert answer.status_code in {200, 201, 422, NOT_SERVED}, answer.text


async def test_whoever_asks_hears_that_the_service_is_there(http: httpx.AsyncClient) -> None:
    for method, path in PUBLIC:
        assert (await http.request(method, path)).json() == {"ok": True}
