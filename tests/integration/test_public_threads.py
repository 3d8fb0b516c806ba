"""Public threads over REST: read by every account, written by none but their own."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.conftest import StartFunction
from tests.integration.deployed import Answer, HttpApi

RUN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}


@pytest.fixture(scope="module")
def http(start_function: StartFunction) -> HttpApi:
    return HttpApi(start_function("functions.api.http.main.handler"))


class Shared:
    """A thread with one message, and what anybody else gets of it."""

    def __init__(self, http: HttpApi, owner: str, **fields: Any) -> None:
        self._http, self._owner = http, owner
        made = http.request("POST", "/threads", fields, account_id=owner)
        assert made.status == 200
        self.made, self.thread_id = made.body, made.body["thread_id"]
        added = self.asked("POST", "/messages", {"role": "user", "content": "read me"}, by=owner)
        assert added.status == 201
        self.message_id = added.body["message_id"]

    def asked(self, method: str, path: str = "", body: Any = None, *, by: str) -> Answer:
        return self._http.request(method, f"/threads/{self.thread_id}{path}", body, account_id=by)

    def readings(self, by: str) -> list[Answer]:
        at = {"checkpoint": {"checkpoint_id": self.message_id}}
        return [
            self.asked("GET", by=by),
            self.asked("GET", "/state", by=by),
            self.asked("GET", f"/state/{self.message_id}", by=by),
            self.asked("POST", "/state/checkpoint", at, by=by),
            self.asked("GET", "/history", by=by),
            self.asked("POST", "/history", {}, by=by),
            self.asked("GET", "/messages", by=by),
        ]


def test_a_public_thread_is_read_by_every_account_as_by_its_own(http: HttpApi, account_id: str) -> None:
    thread = Shared(http, account_id, is_public=True)
    assert thread.made["is_public"]
    own, others = thread.readings(account_id), thread.readings("a stranger")
    assert [answer.status for answer in own] == [200] * len(own)
    assert [answer.body for answer in others] == [answer.body for answer in own]
    assert "read me" in str(others[-1].body)


def test_a_thread_is_private_unless_it_is_made_public_and_again_when_it_is_made_so(
    http: HttpApi, account_id: str
) -> None:
    thread = Shared(http, account_id, is_public=None)
    for is_public in (None, True, None, False, None):
        if is_public is not None:
            answer = thread.asked("PATCH", body={"is_public": is_public}, by=account_id)
            assert answer.body["is_public"] == is_public
            shown = is_public
        else:
            # What says nothing of it changes nothing of it.
            answer = thread.asked("PATCH", body={"metadata": {"a": 1}}, by=account_id)
            shown = answer.body["is_public"]
        statuses = {answer.status for answer in thread.readings("a stranger")}
        assert statuses == ({200} if shown else {404})
        assert {answer.status for answer in thread.readings(account_id)} == {200}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"metadata": {"stolen": True}}),
        ("PATCH", "", {"is_public": False}),
        ("DELETE", "", None),
        ("POST", "/messages", {"role": "user", "content": "x"}),
        ("POST", "/state", {"values": {"messages": ["x"]}}),
        ("POST", "/runs", RUN),
        ("POST", "/runs", RUN | {"if_not_exists": "create"}),
        ("POST", "/runs/stream", RUN),
        ("POST", "/runs/wait", RUN),
        ("POST", f"/runs/{uuid4()}/cancel", None),
        ("DELETE", f"/runs/{uuid4()}", None),
        ("GET", "/runs", None),
    ],
)
def test_nobody_else_writes_it(http: HttpApi, account_id: str, method: str, path: str, body: Any) -> None:
    thread = Shared(http, account_id, is_public=True)
    before = [answer.body for answer in thread.readings(account_id)]
    # An id that is taken is a conflict, as everywhere, for who asks for a new thread by it.
    status = 409 if body is not None and "if_not_exists" in body else 404
    assert thread.asked(method, path, body, by="a stranger").status == status
    assert [answer.body for answer in thread.readings(account_id)] == before


def test_no_command_of_anybody_else_is_carried_out(http: HttpApi, account_id: str) -> None:
    thread = Shared(http, account_id, is_public=True)
    for method, params in (
        ("run.start", RUN),
        ("run.cancel", {"run_id": str(uuid4())}),
        ("input.respond", {"interrupt_id": "x", "response": "y"}),
    ):
        answer = thread.asked("POST", "/commands", {"id": 1, "method": method, "params": params}, by="a stranger")
        assert answer.body["type"] == "error"
    assert thread.asked("GET", "/runs", by=account_id).body == []


def test_it_is_not_among_the_threads_of_anybody_else(http: HttpApi, account_id: str) -> None:
    thread = Shared(http, account_id, is_public=True)
    found = http.request("POST", "/threads/search", {"ids": [thread.thread_id]}, account_id="a stranger")
    assert (found.status, found.body) == (200, [])
