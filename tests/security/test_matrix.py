"""Every route crossed with every kind of credential."""

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.conftest import RunningStack
from tests.security.counting import ANOTHER, READING
from tests.security.credentials import UNKNOWN
from tests.security.routes import Property, Route, routes
from tests.security.surface import NOT_BUILT, PUBLIC

pytestmark = pytest.mark.usefixtures("nothing_changes")

type Record = Callable[[str, object], None]

ROUTES = routes()
# Keys are managed with a token only.
KEYLESS = frozenset({"GET /api-keys"})


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_an_unknown_caller_is_refused(
    http: httpx.AsyncClient,
    owned: Property,
    claiming: Callable[[str], dict[str, str]],
    record_property: Record,
    *,
    route: Route,
    kind: str,
) -> None:
    record_property(route.kind, (str(route), kind))
    headers = claiming(kind)
    answer = await http.request(**route.request(owned.values), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), answer.text


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_another_account_finds_nothing(
    http: httpx.AsyncClient, stack: RunningStack, owned: Property, record_property: Record, route: Route
) -> None:
    record_property(route.kind, (str(route), ANOTHER))
    headers = {"authorization": f"Bearer {stack.token('another account')}"}
    answer = await http.request(**route.request(owned.values), headers=headers)
    if route.path.endswith("/commands"):
        assert (answer.json()["type"], answer.json()["error"]) == ("error", "invalid_argument"), answer.text
    else:
        _is_built_or_not(route, answer)
        assert answer.status_code == 404 or not (route.is_built and route.names), answer.text
    assert "this is private" not in answer.text
    # It is told of nothing but what it has named itself.
    known = {owned.account_id, *owned.values.values()} - {"x", *route.named(owned.values)}
    assert not [value for value in known if value in answer.text]


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_who_may_read_does_not_write(
    http: httpx.AsyncClient, owned: Property, record_property: Record, route: Route
) -> None:
    record_property(route.kind, (str(route), READING))
    answer = await http.request(**route.request(owned.values), headers=owned.reading)
    if route.is_writing or str(route) in KEYLESS:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    else:
        _is_built_or_not(route, answer)
        # What is asked for is there: so the other tests ask for something.
        assert answer.status_code in {200, 201, 422} or not route.is_built, answer.text


def _is_built_or_not(route: Route, answer: httpx.Response) -> None:
    """What is not built says so to whoever is known, and nothing else does."""
    assert (answer.status_code == NOT_BUILT) != route.is_built, answer.text


@pytest.mark.parametrize("public", PUBLIC)
async def test_what_whoever_asks_is_told_is_nobodys(http: httpx.AsyncClient, owned: Property, public: str) -> None:
    method, path = public.split()
    answer = await http.request(method, path)
    assert answer.status_code < 400, answer.text
    assert not [value for value in {owned.account_id, *owned.values.values()} - {"x"} if value in answer.text]
