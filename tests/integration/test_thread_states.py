"""Threads' states through the HTTP function: each message is a checkpoint."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api.wire import ThreadSearch
from tests.integration.conftest import StartFunction
from tests.integration.deployed import Answer, Deployed, HttpApi

HANDLER = "functions.api.http.main.handler"
RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "question"}]}}


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function(HANDLER))


class Thread:
    """A thread, asked about by its owner."""

    def __init__(self, http: HttpApi, account_id: str) -> None:
        self._http, self._account_id = http, account_id
        self.thread_id = http.request("POST", "/threads", {"metadata": {"topic": "x"}}, account_id=account_id).body[
            "thread_id"
        ]

    def ask(self, method: str, path: str = "", body: object = None, **more: Any) -> Answer:
        """A request below the thread's path."""
        return self._http.request(method, f"/threads/{self.thread_id}{path}", body, account_id=self._account_id, **more)

    def append(self, *texts: str, **more: Any) -> Answer:
        """Messages of the user, by a state update."""
        messages = [{"role": "user", "content": text} for text in texts]
        return self.ask("POST", "/state", {"values": {"messages": messages}, **more})


@pytest.fixture
def thread(http: HttpApi, account_id: str) -> Thread:
    return Thread(http, account_id)


def _texts(state: dict[str, Any]) -> list[str]:
    return [message["content"] for message in state["values"]["messages"]]


def test_a_thread_without_messages_has_a_state(thread: Thread) -> None:
    state = thread.ask("GET", "/state").body
    assert state["values"] == {"messages": []}
    assert (state["next"], state["tasks"], state["interrupts"], state["parent_checkpoint"]) == ([], [], [], None)
    assert state["checkpoint"]["checkpoint_id"] is None
    assert thread.ask("GET", "/history").body == []


def test_messages_are_appended_and_each_is_a_checkpoint(thread: Thread) -> None:
    assert thread.append("one", "two").status == 200
    updated = thread.append("three").body
    state = thread.ask("GET", "/state").body
    assert _texts(state) == ["one", "two", "three"]
    assert state["checkpoint"] == updated["checkpoint"]
    assert (state["metadata"]["topic"], state["metadata"]["source"]) == ("x", "input")

    states = thread.ask("POST", "/history", {"limit": 2}).body
    assert [_texts(found) for found in states] == [["one", "two", "three"], ["one", "two"]]
    assert states[0]["parent_checkpoint"] == states[1]["checkpoint"]
    for before in (
        states[-1]["checkpoint"]["checkpoint_id"],
        states[-1]["checkpoint"],
        {"configurable": states[-1]["checkpoint"]},
    ):
        [oldest] = thread.ask("POST", "/history", {"limit": 10, "before": before}).body
        assert (_texts(oldest), oldest["parent_checkpoint"]) == (["one"], None)
    query = f"limit=5&before={states[-1]['checkpoint']['checkpoint_id']}"
    assert thread.ask("GET", "/history", query=query).body == [oldest]

    past = thread.ask("GET", f"/state/{oldest['checkpoint']['checkpoint_id']}").body
    assert past == oldest
    assert thread.ask("POST", "/state/checkpoint", {"checkpoint": oldest["checkpoint"]}).body == oldest


def test_only_what_is_selected_is_answered(thread: Thread) -> None:
    thread.append("one")
    assert thread.ask("GET", "/state", query="select=values.messages&select=next").body.keys() == {"values", "next"}
    [state] = thread.ask("POST", "/history", {"select": ["checkpoint"]}).body
    assert state.keys() == {"checkpoint"}
    unknown = thread.ask("GET", "/state", query="select=nothing")
    assert (unknown.status, unknown.body["code"]) == (422, "invalid_argument")
    assert "'nothing'" in unknown.body["message"]


def test_a_thread_does_not_branch(thread: Thread) -> None:
    first = thread.append("one").body["checkpoint"]
    assert thread.append("two", checkpoint=first).status == 200
    late = thread.append("three", checkpoint=first)
    assert (late.status, late.body["code"]) == (409, "conflict")
    assert _texts(thread.ask("GET", "/state").body) == ["one", "two"]


def test_while_a_run_is_unfinished_nothing_is_appended(thread: Thread) -> None:
    run_id = thread.ask("POST", "/runs", RUN).body["run_id"]
    busy = thread.append("in between")
    assert (busy.status, busy.body["code"]) == (409, "conflict")
    assert run_id in busy.body["message"]
    state = thread.ask("GET", "/state").body
    assert (_texts(state), state["next"]) == (["question"], ["agent"])
    assert [(task["id"], task["name"]) for task in state["tasks"]] == [(run_id, "agent")]


@pytest.mark.parametrize(
    "values", [[{"messages": []}], {"other": 1}, {"messages": [{"role": "nobody", "content": "x"}]}]
)
def test_what_is_no_state_is_refused(thread: Thread, values: object) -> None:
    answer = thread.ask("POST", "/state", {"values": values})
    assert (answer.status, answer.body["code"]) == (422, "invalid_argument")


def test_an_update_with_a_key_is_carried_out_once(thread: Thread) -> None:
    body = {"values": {"messages": [{"role": "user", "content": "once"}]}}
    first = thread.ask("POST", "/state", body, headers={"idempotency-key": "k"})
    again = thread.ask("POST", "/state", body, headers={"idempotency-key": "k"})
    assert (first.body, first.status) == (again.body, 200)
    assert _texts(thread.ask("GET", "/state").body) == ["once"]


async def _asks(deployed: Deployed, thread: Thread, *, tool: str, status: str, result: object) -> str:
    """A run of the thread that ended with a call which somebody has to answer."""
    run_id = thread.ask("POST", "/runs", RUN).body["run_id"]
    database = deployed.database.connection
    message_id = uuid4()
    await database.execute(
        """
        INSERT INTO messages (message_id, thread_id, account_id, run_number, position, agent_run_id, thread_run_id,
            type, content)
        SELECT $1, thread_id, account_id, number, 1, agent_run_id, $1, 'assistant', '{"role": "assistant"}'
        FROM agent_runs WHERE agent_run_id = $2
        """,
        message_id,
        UUID(run_id),
    )
    await database.execute(
        """
        INSERT INTO tool_executions (agent_run_id, call_id, thread_id, account_id, assistant_message_id, call_index,
            name, arguments, form, status, result, answered)
        SELECT agent_run_id, 'call-1', thread_id, account_id, $1, 0, $3, '{"text": "Which?"}', 'native', $4, $5,
            $4 = 'finished'
        FROM agent_runs WHERE agent_run_id = $2
        """,
        message_id,
        UUID(run_id),
        tool,
        status,
        None if result is None else json.dumps(result),
    )
    await deployed.database.set_run(UUID(run_id), status="'needs_input'")
    return run_id


CALLS = [
    ("ask", "finished", {"success": True, "output": {}}, "question"),
    ("deploy", "awaiting", None, "approval"),
]


@pytest.mark.parametrize("call", CALLS, ids=[kind for *_, kind in CALLS])
async def test_what_has_to_be_answered_is_told(
    deployed: Deployed, thread: Thread, http: HttpApi, account_id: str, call: tuple[str, str, object, str]
) -> None:
    tool, status, result, kind = call
    run_id = await _asks(deployed, thread, tool=tool, status=status, result=result)
    interrupt = {"id": "call-1", "value": {"type": kind, "tool": tool, "arguments": {"text": "Which?"}}}
    found = thread.ask("GET").body
    assert (found["status"], found["interrupts"]) == ("interrupted", {run_id: [interrupt]})
    [searched] = http.request("POST", "/threads/search", {"status": "interrupted"}, account_id=account_id).body
    assert searched == found
    state = thread.ask("GET", "/state").body
    assert (state["interrupts"], state["next"]) == ([interrupt], ["agent"])
    assert [(task["id"], task["interrupts"]) for task in state["tasks"]] == [(run_id, [interrupt])]


async def test_a_thread_whose_run_failed_says_why(deployed: Deployed, thread: Thread) -> None:
    run_id = thread.ask("POST", "/runs", RUN).body["run_id"]
    await deployed.database.set_run(
        UUID(run_id), status="'failed'", error="""'{"code": "model_error", "message": "it broke"}'"""
    )
    assert thread.ask("GET").body["status"] == "error"
    [task] = thread.ask("GET", "/state").body["tasks"]
    assert (task["id"], task["error"]) == (run_id, "model_error: it broke")


def test_threads_are_sorted_selected_and_counted(http: HttpApi, account_id: str) -> None:
    made = [
        http.request("POST", "/threads", {"metadata": {"n": n % 2}}, account_id=account_id).body["thread_id"]
        for n in range(3)
    ]
    http.request("PATCH", f"/threads/{made[0]}", {"metadata": {"touched": True}}, account_id=account_id)

    def searched(**body: Any) -> list[str]:
        answer = http.request("POST", "/threads/search", body, account_id=account_id)
        assert answer.status == 200, answer.body
        return [thread["thread_id"] for thread in answer.body]

    assert searched() == made[::-1]
    assert searched(sort_by="created_at", sort_order="asc") == made
    assert searched(sort_by="updated_at") == [made[0], made[2], made[1]]
    assert searched(sort_by="state_updated_at", sort_order="asc") == [made[1], made[2], made[0]]
    assert searched(sort_by="thread_id", sort_order="asc") == sorted(made)
    assert searched(sort_by="thread_id", limit=1, offset=1) == [sorted(made)[1]]
    assert sorted(searched(sort_by="status")) == sorted(made)
    [one] = http.request("POST", "/threads/search", {"limit": 1, "select": ["status"]}, account_id=account_id).body
    assert one == {"status": "idle"}
    # As many are counted as are found, whatever they are found by.
    finds: dict[str, list[Any]] = {
        "metadata": [{}, {"n": 0}, {"n": 7}],
        "ids": [made[:2], [made[0], str(uuid4())], []],
        "status": ["idle", "busy"],
    }
    bounds = {"limit", "offset", "sort_by", "sort_order", "select"}
    assert ThreadSearch.model_fields.keys() - bounds - {"values", "extract"} == finds.keys()
    for name, value in ((name, value) for name, values in finds.items() for value in values):
        answer = http.request("POST", "/threads/count", {name: value}, account_id=account_id)
        assert (answer.status, answer.body) == (200, len(searched(**{name: value})))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/threads", {"ttl": {"ttl": 5}}),
        ("POST", "/threads", {"supersteps": [{"updates": []}]}),
        ("POST", "/threads/search", {"values": {"a": 1}}),
        ("POST", "/threads/search", {"extract": {"a": "values.messages[0]"}}),
    ],
)
def test_what_threads_do_not_have_is_refused(
    http: HttpApi, account_id: str, method: str, path: str, body: object
) -> None:
    answer = http.request(method, path, body, account_id=account_id)
    assert (answer.status, answer.body["code"]) == (501, "not_supported")


def test_an_update_may_answer_nothing(thread: Thread) -> None:
    answer = thread.ask("PATCH", "", {"metadata": {"a": 1}}, headers={"prefer": "return=minimal"})
    assert (answer.status, answer.body) == (204, None)
    assert thread.ask("GET").body["metadata"] == {"topic": "x", "a": 1}


def test_a_strangers_states_are_not_there(thread: Thread, http: HttpApi) -> None:
    message_id = thread.append("one").body["checkpoint"]["checkpoint_id"]
    for method, path in (
        ("GET", "/state"),
        ("GET", f"/state/{message_id}"),
        ("GET", "/history"),
        ("POST", "/history"),
        ("POST", "/state"),
    ):
        answer = http.request(
            method,
            f"/threads/{thread.thread_id}{path}",
            {"values": {"messages": "x"}} if method == "POST" else None,
            account_id="a stranger",
        )
        assert (answer.status, answer.body["code"]) == (404, "not_found"), path


def test_a_run_from_the_newest_checkpoint_is_no_fork_and_one_from_another_is_refused(thread: Thread) -> None:
    first, second = (thread.append(text).body["checkpoint"] for text in ("one", "two"))
    for named in (
        {"checkpoint": first},
        {"checkpoint_id": first["checkpoint_id"]},
        {"config": {"configurable": {"checkpoint_id": first["checkpoint_id"]}}},
        {"config": {"configurable": {"thread_ts": first["checkpoint_id"]}}},
        {"checkpoint": second, "checkpoint_id": first["checkpoint_id"]},
        {"checkpoint_id": str(uuid4())},
    ):
        fork = thread.ask("POST", "/runs", RUN | named)
        assert (fork.status, fork.body["code"]) == (409, "conflict"), named
        assert "do not branch" in fork.body["message"]
    for named in (
        {"checkpoint": {"checkpoint_id": first["checkpoint_id"], "checkpoint_ns": "child:1"}},
        {"checkpoint": {"checkpoint_ns": "child:1"}},
        {"config": {"configurable": {"checkpoint_ns": "child:1"}}},
    ):
        nested = thread.ask("POST", "/runs", RUN | named)
        assert (nested.status, nested.body["code"]) == (501, "not_supported"), named
    malformed = thread.ask("POST", "/runs", RUN | {"config": {"configurable": {"checkpoint_id": "the first"}}})
    assert (malformed.status, malformed.body["code"]) == (422, "invalid_argument")
    assert thread.ask("GET", "/runs").body == []
    for named in (
        {"checkpoint": second},
        {"checkpoint": {"checkpoint_id": None, "checkpoint_ns": ""}},
    ):
        assert thread.ask("POST", "/runs", RUN | named).status == 200, named


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ({"goto": "agent"}, "command.goto"),
        ({"goto": [{"node": "x", "input": 1}]}, "command.goto"),
        ({"update": {"messages": []}}, "command.update"),
        ({"resume": True, "update": [["a", 1]]}, "command.update"),
    ],
)
def test_what_a_command_cannot_do_is_refused_by_name(thread: Thread, command: dict[str, Any], name: str) -> None:
    refused = thread.ask("POST", "/runs", RUN | {"command": command})
    assert (refused.status, refused.body["code"]) == (501, "not_supported")
    assert repr(name) in refused.body["message"]
    assert thread.ask("GET", "/runs").body == []
