"""What is wrong is refused with an error that says what to do, and nothing else happens."""

import asyncio
import uuid
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.e2e.conftest import RunningStack
from tests.e2e.following import command, next_frame, subscribed
from tests.e2e.threads import new_thread

GOOD_RUN: dict[str, Any] = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]}}


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        (None, "Authorization: Bearer"),
        ("Basic abc", "Authorization: Bearer"),
        ("Bearer nonsense", "not valid"),
        ("expired", "expired"),
        ("foreign audience", "Audience"),
    ],
)
async def test_a_missing_or_bad_token_is_401(stack: RunningStack, authorization: str | None, said: str) -> None:
    made = {"expired": stack.token("a", exp=1), "foreign audience": stack.token("a", aud="others")}
    value = f"Bearer {made[authorization]}" if authorization in made else authorization
    headers = {} if value is None else {"authorization": value}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers) as client:
        answer = await client.post("/threads", json={})
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws{stack.base_url.removeprefix('http')}/threads/{uuid.uuid4()}/stream/events",
                additional_headers=headers,
            )
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert said in answer.json()["message"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert refused.value.response.status_code == 401


async def test_a_token_of_the_issuer_with_published_keys_is_accepted(stack: RunningStack) -> None:
    async with httpx.AsyncClient() as client:
        token = (await client.post(f"{stack.fields['model_url']}/token", json={"sub": str(uuid.uuid4())})).json()
        answer = await client.post(
            f"{stack.base_url}/threads", json={}, headers={"authorization": f"Bearer {token['token']}"}
        )
    assert answer.status_code == 200, answer.text


async def test_what_is_not_yours_is_not_there(stack: RunningStack, http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    run = (await http.post(f"/threads/{thread_id}/runs", json=GOOD_RUN)).json()
    headers = {"authorization": f"Bearer {stack.token(str(uuid.uuid4()))}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers) as stranger:
        for method, path, body in [
            ("GET", f"/threads/{thread_id}", None),
            ("PATCH", f"/threads/{thread_id}", {"metadata": {}}),
            ("DELETE", f"/threads/{thread_id}", None),
            ("GET", f"/threads/{thread_id}/state", None),
            ("GET", f"/threads/{thread_id}/messages", None),
            ("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "x"}),
            ("GET", f"/threads/{thread_id}/runs", None),
            ("POST", f"/threads/{thread_id}/runs", GOOD_RUN),
            ("GET", f"/threads/{thread_id}/runs/{run['run_id']}", None),
        ]:
            answer = await stranger.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
        found = await stranger.post("/threads/search", json={})
        assert found.json() == []


async def test_a_stranger_who_subscribes_gets_no_events(stack: RunningStack, http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    own = stack.client_of(_account_of(http))
    async with (
        subscribed(stack.client_of(str(uuid.uuid4())), thread_id) as stranger,
        subscribed(own, thread_id) as mine,
    ):
        await http.post(f"/threads/{thread_id}/runs", json=GOOD_RUN)
        while (await next_frame(mine))["params"]["data"]["event"] != "completed":
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await stranger.recv()


def _account_of(http: httpx.AsyncClient) -> str:
    token = http.headers["authorization"].removeprefix("Bearer ")
    return jwt.decode(token, options={"verify_signature": False})["sub"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "assistant_id"),
        ({**GOOD_RUN, "input": {"messages": [{"role": "poet", "content": "x"}]}}, "input.messages.0"),
        ({**GOOD_RUN, "input": {"messages": [{"role": "user"}]}}, "input.messages.0.content"),
        ({**GOOD_RUN, "after_seconds": -1}, "after_seconds"),
        ({**GOOD_RUN, "multitask_strategy": "panic"}, "multitask_strategy"),
    ],
)
async def test_a_malformed_body_is_422_and_names_the_field(
    http: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    thread_id = await new_thread(http)
    answer = await http.post(f"/threads/{thread_id}/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")
    assert field in answer.json()["message"]
    assert (await http.get(f"/threads/{thread_id}/runs")).json() == []


async def test_what_is_not_json_is_422(http: httpx.AsyncClient) -> None:
    answer = await http.post("/threads", content=b"{not json", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument")


async def test_an_unknown_path_is_404_and_a_wrong_method_405(http: httpx.AsyncClient) -> None:
    unknown = await http.get("/nowhere")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert "GET /nowhere" in unknown.json()["message"]
    assert (await http.put("/threads")).status_code == 405


async def test_a_body_over_4_mb_is_413(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    answer = await http.post(
        f"/threads/{thread_id}/messages", json={"role": "user", "content": "x" * (4 * 1024 * 1024)}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "4 MB" in answer.json()["message"]


async def test_an_existing_thread_is_409_unless_that_is_welcome(http: httpx.AsyncClient) -> None:
    thread_id = await new_thread(http)
    assert (await http.post("/threads", json={"thread_id": thread_id})).status_code == 409
    again = await http.post("/threads", json={"thread_id": thread_id, "if_exists": "do_nothing"})
    assert again.json()["thread_id"] == thread_id


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ("not json", "invalid_argument"),
        ("[1, 2]", "invalid_argument"),
        ("[" * 5000, "invalid_argument"),
        ('{"id": "x", "method": "ping"}', "invalid_argument"),
        ('{"id": 1}', "invalid_argument"),
        ('{"id": 1, "method": "dance"}', "unknown_command"),
        ('{"id": 1, "method": "state.fork", "params": {}}', "not_supported"),
        ('{"id": 1, "method": "subscription.subscribe", "params": {"channels": ["gossip"]}}', "invalid_argument"),
        ('{"id": 1, "method": "subscription.subscribe", "params": {}}', "invalid_argument"),
        ('{"id": 1, "method": "run.start", "params": {}}', "invalid_argument"),
    ],
)
async def test_a_wrong_command_is_answered_and_the_connection_stays(
    stack: RunningStack, account_id: str, sent: str, error: str
) -> None:
    async with subscribed(stack.client_of(account_id), str(uuid.uuid4())) as socket:
        await socket.send(sent)
        answer = await next_frame(socket)
        assert (answer["type"], answer["error"]) == ("error", error)
        assert answer["message"]
        assert (await command(socket, "ping"))["type"] == "success"


async def test_a_connection_without_a_thread_is_refused(stack: RunningStack, account_id: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(
            f"ws{stack.base_url.removeprefix('http')}/threads/not-a-uuid/stream/events",
            additional_headers=stack.client_of(account_id).headers,
        )
    assert refused.value.response.status_code == 422
