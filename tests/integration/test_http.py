"""The HTTP function, asked through API Gateway's events."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.cable import Cable
from tests.integration.conftest import StartFunction, store_secret
from tests.integration.deployed import Answer, Deployed, HttpApi, token

HANDLER = "functions.api.http.main.handler"
RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function(HANDLER))


@pytest.fixture
def thread_id(http: HttpApi, account_id: str) -> str:
    return http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]


def _refused(answer: Answer, status: int, code: str) -> str:
    """Check an error's form; returns its message."""
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body.keys() == {"code", "message", "detail"}
    return answer.body["message"]


def test_whether_it_answers_needs_no_token(http: HttpApi) -> None:
    answer = http.request("GET", "/ok")
    assert (answer.status, answer.body) == (200, {"ok": True})
    assert answer.headers["x-request-id"] == http.request_id


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic dXNlcjpwYXNz", "Bearer nonsense", f"Bearer {token('x', exp=1)}", f"Bearer {token('x', aud='y')}"],
    ids=["none", "empty", "another scheme", "nonsense", "expired", "another audience"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ws-tickets"),
        ("POST", "/threads"),
        ("GET", f"/threads/{uuid4()}"),
        ("POST", f"/threads/{uuid4()}/runs"),
    ],
)
def test_without_a_good_token_nobody_gets_in(http: HttpApi, header: str | None, method: str, path: str) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = http.request(method, path, {}, headers=headers)
    _refused(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/thread", "/threads/x/y/z", f"/threads/{uuid4()}/nothing"])
def test_an_unknown_path_is_404(http: HttpApi, account_id: str, path: str) -> None:
    message = _refused(http.request("GET", path, account_id=account_id), 404, "not_found")
    assert message == f"there is no GET {path}"


def test_a_method_that_a_path_does_not_have_is_405(http: HttpApi, account_id: str) -> None:
    answer = http.request("PUT", "/threads", {}, account_id=account_id)
    assert _refused(answer, 405, "method_not_allowed") == "there is no PUT /threads"


ROUTES: list[tuple[str, str, object]] = [
    ("GET", "/threads/{thread}", None),
    ("PATCH", "/threads/{thread}", {"metadata": {"a": 1}}),
    ("DELETE", "/threads/{thread}", None),
    ("GET", "/threads/{thread}/state", None),
    ("GET", "/threads/{thread}/messages", None),
    ("POST", "/threads/{thread}/messages", {"role": "user", "content": "hello"}),
    ("GET", "/threads/{thread}/runs", None),
    ("POST", "/threads/{thread}/runs", RUN),
    ("GET", "/threads/{thread}/runs/{run}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_what_is_not_there_and_what_is_not_yours_are_the_same_404(
    http: HttpApi, account_id: str, method: str, path: str, body: object
) -> None:
    thread = http.request("POST", "/threads", {}, account_id="its owner").body["thread_id"]
    run = http.request("POST", f"/threads/{thread}/runs", RUN, account_id="its owner").body["run_id"]
    nowhere, nothing = str(uuid4()), str(uuid4())
    theirs = http.request(method, path.format(thread=thread, run=run), body, account_id=account_id)
    missing = http.request(method, path.format(thread=nowhere, run=nothing), body, account_id=account_id)
    message = _refused(missing, 404, "not_found").replace(nowhere, thread).replace(nothing, run)
    assert _refused(theirs, 404, "not_found") == message
    assert http.request("GET", f"/threads/{thread}/runs/{run}", account_id="its owner").status == 200


def test_a_thread_is_made_changed_found_and_deleted(http: HttpApi, account_id: str) -> None:
    thread_id = str(uuid4())
    made = http.request(
        "POST", "/threads", {"thread_id": thread_id, "metadata": {"a": 1, "topic": "x"}}, account_id=account_id
    )
    assert made.status == 200
    assert (made.body["thread_id"], made.body["status"]) == (thread_id, "idle")
    changed = http.request("PATCH", f"/threads/{thread_id}", {"metadata": {"a": 2}}, account_id=account_id)
    assert changed.body["metadata"] == {"a": 2, "topic": "x"}
    for wanted, found in (({"a": 2}, 1), ({"a": 1}, 0)):
        answer = http.request("POST", "/threads/search", {"metadata": wanted}, account_id=account_id)
        assert len(answer.body) == found
    assert http.request("DELETE", f"/threads/{thread_id}", account_id=account_id).status == 204
    assert http.request("GET", f"/threads/{thread_id}", account_id=account_id).status == 404


def test_a_thread_id_that_is_taken_is_409_unless_it_is_yours_and_you_say_so(
    http: HttpApi, account_id: str, thread_id: str
) -> None:
    again = {"thread_id": thread_id}
    assert "do_nothing" in _refused(http.request("POST", "/threads", again, account_id=account_id), 409, "conflict")
    used = http.request("POST", "/threads", {**again, "if_exists": "do_nothing"}, account_id=account_id)
    assert (used.status, used.body["thread_id"]) == (200, thread_id)
    stranger = http.request("POST", "/threads", {**again, "if_exists": "do_nothing"}, account_id="a stranger")
    _refused(stranger, 409, "conflict")


def test_a_requests_query_is_on_its_log_lines_without_secrets(http: HttpApi, account_id: str) -> None:
    secret = uuid4().hex * 2
    http.request(
        "GET", f"/threads/{uuid4()}/messages", account_id=account_id, query=f"limit=7&ticket={secret}&{secret}="
    )
    [query] = [line["query_params"] for line in http.function.log_lines() if "limit" in line.get("query_params", "")]
    assert json.loads(query) == {"limit": "7", "ticket": "***", "***": "***"}
    assert secret not in json.dumps(http.function.log_lines())


async def test_a_run_is_recorded_and_dispatched_under_its_requests_id(
    http: HttpApi, deployed: Deployed, account_id: str, thread_id: str
) -> None:
    while await deployed.queues.visible("runs"):
        pass
    answer = http.request("POST", f"/threads/{thread_id}/runs", RUN, account_id=account_id)
    assert answer.status == 200
    run_id = answer.body["run_id"]
    assert (answer.body["status"], answer.body["thread_id"]) == ("pending", thread_id)
    assert answer.headers["content-location"] == f"/threads/{thread_id}/runs/{run_id}"
    assert answer.headers["x-request-id"] == http.request_id

    [message] = [found for found in await deployed.queues.visible("runs") if str(found.agent_run_id) == run_id]
    assert message.request_id == http.request_id
    [line] = [
        line
        for line in http.function.log_lines()
        if line["message"] == "request" and line["path"] == f"/threads/{thread_id}/runs"
    ]
    assert (line["request_id"], line["method"], line["status"]) == (http.request_id, "POST", 200)
    assert line["client_ip"] == "203.0.113.7"

    assert http.request("GET", f"/threads/{thread_id}", account_id=account_id).body["status"] == "busy"
    state = http.request("GET", f"/threads/{thread_id}/state", account_id=account_id).body
    assert [message["content"] for message in state["values"]["messages"]] == ["hello"]
    assert state["next"] == ["agent"]
    busy = http.request("DELETE", f"/threads/{thread_id}", account_id=account_id)
    assert "unfinished run" in _refused(busy, 409, "conflict")


def test_runs_are_listed_by_the_wires_status(http: HttpApi, account_id: str, thread_id: str) -> None:
    made = [
        http.request("POST", f"/threads/{thread_id}/runs", RUN, account_id=account_id).body["run_id"] for _ in range(3)
    ]

    def listed(query: str) -> list[str]:
        answer = http.request("GET", f"/threads/{thread_id}/runs", account_id=account_id, query=query)
        return [run["run_id"] for run in answer.body]

    assert listed("") == made[::-1]
    assert listed("limit=1&offset=1") == [made[1]]
    assert listed("status=pending") == made[::-1]
    assert listed("status=success") == []


def test_a_message_without_a_run_is_kept_for_the_next(http: HttpApi, account_id: str, thread_id: str) -> None:
    added = http.request(
        "POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "first"}, account_id=account_id
    )
    assert added.status == 201
    http.request("POST", f"/threads/{thread_id}/runs", RUN, account_id=account_id)
    found = http.request("GET", f"/threads/{thread_id}/messages", account_id=account_id).body
    assert [message["content"]["content"] for message in found] == ["first", "hello"]
    assert found[0]["message_id"] == added.body["message_id"]


def test_a_binary_body_is_read_as_the_text_that_it_is(http: HttpApi, account_id: str) -> None:
    answer = http.request("POST", "/threads", {"metadata": {"é": "ü"}}, account_id=account_id, binary=True)
    assert (answer.status, answer.body["metadata"]) == (200, {"é": "ü"})


@pytest.mark.parametrize("binary", [False, True])
def test_a_body_over_4_mb_is_413(http: HttpApi, account_id: str, binary: bool) -> None:
    body = {"metadata": {"text": "x" * (4 * 1024 * 1024)}}
    answer = http.request("POST", "/threads", body, account_id=account_id, binary=binary)
    assert "presigned URL" in _refused(answer, 413, "body_too_large")


def test_a_body_of_just_under_4_mb_is_taken(http: HttpApi, account_id: str) -> None:
    thread_id = http.request("POST", "/threads", {}, account_id=account_id).body["thread_id"]
    body = {"role": "user", "content": "x" * (4 * 1024 * 1024 - 100)}
    assert http.request("POST", f"/threads/{thread_id}/messages", body, account_id=account_id).status == 201


@pytest.mark.parametrize("path", ["/threads", "/assistants"])
def test_what_is_nested_too_deep_is_refused_before_anything_is_stored(
    http: HttpApi, account_id: str, path: str
) -> None:
    body = {"graph_id": "agent", "metadata": json.loads('{"a":' * 256 + "1" + "}" * 256)}
    assert "64 deep" in _refused(http.request("POST", path, body, account_id=account_id), 422, "invalid_argument")
    found = http.request("POST", f"{path}/search", {"metadata": {"created_by": None}}, account_id=account_id)
    assert (found.status, found.body) == (200, [])


THREADS = ("POST", "/threads")
RUNS = ("POST", f"/threads/{uuid4()}/runs")
INVALID: list[tuple[tuple[str, str], object, str, str]] = [
    (THREADS, {"thread_id": "x"}, "", "body.thread_id"),
    (THREADS, {"metadata": 7}, "", "body.metadata"),
    (THREADS, {"metadata": {"text": "a\0b"}}, "", "body.metadata"),
    (THREADS, '{"metadata": {"text": "\\ud800"}}', "", "body.metadata"),
    (THREADS, '{"metadata": {"number": NaN}}', "", "body.metadata"),
    (THREADS, {"if_exists": "maybe"}, "", "body.if_exists"),
    (THREADS, "[]", "", "body"),
    (THREADS, "7", "", "body"),
    (THREADS, '{"metadata": ', "", "body"),
    (("GET", "/threads/x"), None, "", "path.thread_id"),
    (("GET", f"/threads/{uuid4()}/runs"), None, "limit=0", "query.limit"),
    (("GET", f"/threads/{uuid4()}/runs"), None, "offset=-1", "query.offset"),
    (("GET", f"/threads/{uuid4()}/runs"), None, f"offset={10**30}", "query.offset"),
    (("GET", f"/threads/{uuid4()}/messages"), None, f"offset={10**30}", "query.offset"),
    (("GET", f"/threads/{uuid4()}/runs"), None, "status=done", "query.status"),
    (("POST", "/threads/search"), {"limit": "many"}, "", "body.limit"),
    (("POST", "/threads/search"), {"offset": 10**30}, "", "body.offset"),
    (RUNS, {}, "", "body.assistant_id"),
    (RUNS, {**RUN, "input": {"messages": [{"role": "user"}]}}, "", "body.input.messages.0.content"),
    (RUNS, {**RUN, "multitask_strategy": "wait"}, "", "body.multitask_strategy"),
    (RUNS, {**RUN, "after_seconds": "soon"}, "", "body.after_seconds"),
    (RUNS, {**RUN, "after_seconds": 10**400}, "", "body.after_seconds"),
]


@pytest.mark.parametrize(("route", "body", "query", "field"), INVALID)
def test_a_malformed_request_is_422_and_names_the_field(
    http: HttpApi, route: tuple[str, str], body: object, query: str, field: str
) -> None:
    answer = http.request(*route, body, account_id="account", query=query)
    message = _refused(answer, 422, "invalid_argument")
    problem = answer.body["detail"][0]
    assert problem["field"].startswith(field)
    assert message == f"{problem['field']}: {problem['problem']}"


@pytest.mark.parametrize(
    "body",
    ['{"metadata": ' + "[" * depth + "]" * depth + "}" for depth in (100, 1_000, 10_000, 100_000)]
    + [
        "\0",
        "\ufeff{}",
        '{"metadata": {"n": ' + "9" * 5_000 + "}}",
        '{"metadata": {"n": 1e999}}',
        '{"metadata": {"": 0}}',
    ],
    ids=["100 deep", "1,000 deep", "10,000 deep", "100,000 deep", "NUL", "BOM", "long number", "1e999", "empty key"],
)
def test_no_body_is_our_fault(http: HttpApi, account_id: str, body: str) -> None:
    answer = http.request("POST", "/threads", body, account_id=account_id)
    assert answer.status in {200, 400, 422}
    if answer.status != 200:
        assert answer.body["code"] == "invalid_argument"


async def test_a_command_starts_a_run_on_a_thread_that_it_makes(http: HttpApi, account_id: str) -> None:
    thread_id = uuid4()
    answer = http.request(
        "POST",
        f"/threads/{thread_id}/commands",
        {"id": 5, "method": "run.start", "params": RUN},
        account_id=account_id,
    )
    assert (answer.status, answer.body["type"], answer.body["id"]) == (200, "success", 5)
    run_id = answer.body["result"]["run_id"]
    assert http.request("GET", f"/threads/{thread_id}/runs/{run_id}", account_id=account_id).status == 200


class Away:
    """An HTTP function whose database can be unplugged."""

    def __init__(self, http: HttpApi, cable: Cable) -> None:
        self.http, self.cable = http, cable

    def create_thread(self) -> Answer:
        return self.http.request("POST", "/threads", {}, account_id="account")


@pytest.fixture
async def away(deployed: Deployed, start_function: StartFunction) -> Any:
    cable = Cable(deployed.database.port)
    secret = await store_secret(deployed.database.secret(port=cable.port))
    yield Away(HttpApi(start_function(HANDLER, DATABASE_SECRET_ARN=secret)), cable)
    cable.cut()


def _unavailable(answer: Answer) -> None:
    _refused(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert "asyncpg" not in json.dumps(answer.body)


def test_while_postgresql_is_down_it_is_503_with_retry_after(away: Away) -> None:
    # GIVEN a cold start without a database
    _unavailable(away.create_thread())
    # WHEN it comes THEN requests work
    away.cable.plug()
    assert away.create_thread().status == 200
    # WHEN it goes THEN they do not, and the process goes on
    away.cable.cut()
    _unavailable(away.create_thread())
    assert away.http.request("GET", "/ok").status == 200
    # WHEN it is back THEN they work again
    away.cable.plug()
    assert away.create_thread().status == 200


def test_connections_that_died_while_the_process_was_frozen_are_not_noticed_by_clients(away: Away) -> None:
    away.cable.plug()
    for _ in range(5):
        assert away.create_thread().status == 200
        away.cable.cut()
        away.cable.plug()


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/octet-stream"])
def test_a_body_that_is_no_json_is_refused_under_an_idempotency_key_too(
    http: HttpApi, account_id: str, content_type: str
) -> None:
    headers = {"idempotency-key": "k", "content-type": content_type}
    for body in ("not JSON", "[" * 20_000):
        answer = http.request("POST", "/threads", body, account_id=account_id, headers=headers)
        assert answer.status in {400, 422}


@pytest.mark.parametrize(
    "odd",
    [
        {"headers": {"x-foo": "\udcff"}},
        {"headers": {"x-\udcff": "1"}},
        {"headers": {"host": "a:b:c"}},
        {"headers": {"host": "a:port"}},
        {"query": "a=\udcff"},
    ],
    ids=["header", "header's name", "host", "port", "query"],
)
def test_bytes_that_are_no_text_are_the_clients_mistake(http: HttpApi, odd: dict[str, Any]) -> None:
    _refused(http.request("GET", "/nowhere", **odd), 400, "invalid_argument")
    _refused(http.request("GET", "/ok\udcff"), 400, "invalid_argument")
    _refused(http.request("POST", "/nowhere", "\udcff"), 400, "invalid_argument")


def test_a_path_of_bytes_is_not_there(http: HttpApi, account_id: str) -> None:
    _refused(http.request("GET", "/threads/%FF", account_id=account_id), 422, "invalid_argument")
    _refused(http.request("GET", "/%FF", account_id=account_id), 404, "not_found")
