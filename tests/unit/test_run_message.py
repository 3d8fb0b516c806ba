"""What a queue says about a run; anybody may have written it."""

import json
from typing import Any
from uuid import uuid4

import pytest

from shared.aws.queue import AccountMessage, RunMessage, SweepMessage
from shared.telemetry import bound

RUN_ID, THREAD_ID = uuid4(), uuid4()
FIELDS = {"agent_run_id": str(RUN_ID), "thread_id": str(THREAD_ID), "account_id": "account"}


def _body(**changes: Any) -> str:
    return json.dumps({name: value for name, value in {**FIELDS, **changes}.items() if value != "absent"})


def test_a_message_survives_the_queue() -> None:
    message = RunMessage(agent_run_id=RUN_ID, thread_id=THREAD_ID, account_id="account", request_id="request")
    assert RunMessage.parse(message.body()) == message


def test_a_deletion_survives_the_queue_and_is_no_run() -> None:
    message = AccountMessage(account_id="account", request_id="request")
    assert AccountMessage.parse(message.body()) == message
    with pytest.raises(ValueError, match="not a run message"):
        RunMessage.parse(message.body())


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "1", "null", "{}", _body(), '{"delete_account": 1}', '"delete_account"']
)
def test_what_is_no_deletion_is_not_taken_for_one(body: str) -> None:
    assert AccountMessage.parse(body) is None


def test_a_sweep_survives_the_queue_and_is_nothing_else() -> None:
    message = SweepMessage(next_in_s=300)
    assert SweepMessage.parse(message.body()) == message
    assert AccountMessage.parse(message.body()) is None
    for body in ("{", "[]", "null", _body(), '{"sweep_again_in_s": null}', f'{{"sweep_again_in_s": 1{"0" * 400}}}'):
        assert SweepMessage.parse(body) is None


def test_a_message_carries_the_request_that_it_was_sent_in() -> None:
    message = RunMessage(agent_run_id=RUN_ID, thread_id=THREAD_ID, account_id="account")
    with bound(request_id="from-the-api"):
        body = message.body()
    assert RunMessage.parse(body).request_id == "from-the-api"


def test_a_message_of_an_older_version_without_a_request_is_understood() -> None:
    assert RunMessage.parse(_body()).request_id is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "7",
        '"text"',
        "[]",
        "{}",
        _body(agent_run_id="absent"),
        _body(agent_run_id=None),
        _body(agent_run_id=7),
        _body(agent_run_id="run"),
        _body(agent_run_id={"S": str(RUN_ID)}),
        _body(thread_id="absent"),
        _body(thread_id=""),
        _body(account_id="absent"),
        pytest.param("[" * 100_000, id="nested beyond reason"),
        pytest.param("9" * 5_000, id="a number of 5,000 digits"),
        pytest.param(json.dumps({"Records": [{"s3": {}}]}), id="another service's"),
    ],
)
def test_what_is_no_run_message_is_refused(body: str) -> None:
    with pytest.raises(ValueError):
        RunMessage.parse(body)
