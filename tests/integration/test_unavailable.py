"""What everybody hears while a service that they need is away, slow, or refuses: never a 500, whatever they ask for.

Every route of the API's description and every command is asked for, so one that is added is covered by itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiobotocore.config import AioConfig
from aiohttp import web
from botocore.parsers import ResponseParserError

from functions.api import endings
from functions.api.auth import authenticator
from functions.api.command_types import COMMANDS
from functions.api.commands import Caller, execute
from functions.api.http.app import build_app
from functions.api.limits.limiter import limiter
from functions.api.slices import Slice
from functions.api.websocket import main
from shared.aws import clients, faults, secrets
from shared.aws.faults import SERVICES, translated
from shared.domain import Json
from shared.stream.subscriptions import ConnectionRecord
from tests.integration import opened
from tests.integration.conftest import store_secret
from tests.integration.deployed import AUDIENCE, HS256_SECRET, ISSUER, aws_event, token
from tests.integration.owned import Owned
from tests.ports import free_port
from tests.security.routes import COMMAND_PARAMS, routes

RETRY = "try again shortly"
# What cannot be done without it, of what is asked for here.
NEEDS = {
    "dynamodb": {"POST /ws-tickets", "DELETE /api-keys/{key_id}"},
    "sqs": {"POST /threads/{thread_id}/runs", "DELETE /account"},
    # Every token is checked with one.
    "secretsmanager": {str(route) for route in routes() if route.path != "/ok"},
}
each_service = pytest.mark.parametrize("service", [*SERVICES, "redis"])
each_way = pytest.mark.parametrize("how", ["throttled", "away", "slow"])

type Fail = Callable[..., Awaitable[None]]


@pytest.fixture
async def api(
    owned: Owned, queues: Any, subscriptions_table: str, files_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """What the functions find in their environment; nobody waits long for a run, which nobody executes."""
    del owned, queues, subscriptions_table, files_bucket
    held = {"AUTH_SECRET_ARN": {"hs256_secret": HS256_SECRET}, "WEBHOOK_SECRET_ARN": {"webhook_key": "key"}}
    for name, secret in held.items():
        monkeypatch.setenv(name, await store_secret(json.dumps(secret)))
    monkeypatch.setenv("JWT_ISSUER", ISSUER)
    monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("SENDER_FUNCTION", "sender")
    for waiting, longest in ((Slice.__init__, "slice_s"), (endings.final_values, "longest_s")):
        defaults = waiting.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, longest, 0.05)
    opened.forget_settings()
    authenticator.cache_clear()
    limiter.cache_clear()
    yield
    authenticator.cache_clear()
    limiter.cache_clear()
    opened.forget_settings()


@pytest.fixture
async def fail() -> AsyncIterator[Fail]:
    """Has a service fail from now on: it refuses for now, nobody listens (``away``), or nobody answers (``slow``)."""
    ended = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["how"] == "slow":
            await ended.wait()
        if request.match_info["service"] == "s3":
            return web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>")
        return web.json_response({"__type": "ProvisionedThroughputExceededException"}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{service}/{how}{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    failing = clients._Clients()
    with pytest.MonkeyPatch.context() as patch:

        async def begin(service: str, how: str = "throttled") -> None:
            if service == "redis":
                await opened.close_redis()
                patch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
                opened.forget_settings()
                return
            url = f"http://127.0.0.1:{free_port() if how == 'away' else port}/{service}/{how}"
            name = {"stepfunctions": "SFN", "secretsmanager": "SECRETS_MANAGER"}.get(service, service.upper())
            # How often the SDK tries is not what this is about, nor how long nobody has to answer.
            once = AioConfig(retries={"total_max_attempts": 1}, read_timeout=60)
            with pytest.MonkeyPatch.context() as meanwhile:
                meanwhile.setenv(f"AWS_ENDPOINT_URL_{name}", url)
                for config in ("_CONFIG", "_S3_CONFIG"):
                    meanwhile.setattr(clients, config, getattr(clients, config).merge(once))
                patch.setitem(clients._clients()._open, service, await failing.get(service))
            patch.setitem(SERVICES, service, replace(SERVICES[service], patience_s=0.1 if how == "slow" else None))
            if service == "secretsmanager":
                secrets._fetched.clear()

        yield begin
    ended.set()
    await failing._stack.aclose()
    await runner.cleanup()
    await opened.close_redis()
    opened.forget_settings()


@each_way
@pytest.mark.parametrize("service", SERVICES)
async def test_a_call_raises_what_is_ours(fail: Fail, service: str, how: str) -> None:
    calls = {
        "dynamodb": lambda client: client.get_item(TableName="t", Key={"thread_id": {"S": "x"}}),
        "lambda": lambda client: client.invoke(FunctionName="f"),
        "s3": lambda client: client.head_object(Bucket="b", Key="k"),
        "secretsmanager": lambda client: client.get_secret_value(SecretId="s"),
        "sqs": lambda client: client.send_message(QueueUrl="q", MessageBody="m"),
        "stepfunctions": lambda client: client.start_execution(stateMachineArn="a"),
    }
    await fail(service, how)
    with pytest.raises(SERVICES[service].unavailable):
        await calls[service](await clients._clients().get(service))


@each_service
@pytest.mark.usefixtures("api")
async def test_no_route_answers_500(fail: Fail, owned: Owned, service: str) -> None:
    values = {
        "thread_id": str(owned.thread_id),
        "run_id": str(owned.agent_run_id),
        "agent_run_id": str(owned.agent_run_id),
        "assistant_id": str(owned.assistant_id),
        "agent_id": str(owned.assistant_id),
        "key_id": str(owned.key_id),
        "file_id": str(owned.file_id),
        **dict.fromkeys(("checkpoint_id", "cron_id", "namespace"), str(uuid4())),
    }
    # What ends things comes last, and the account at the very end.
    ordered = sorted(routes(), key=lambda route: (route.path == "/account", route.method == "DELETE"))
    await fail(service)
    transport = httpx.ASGITransport(_in_one_message(build_app()), raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {token(owned.account_id)}"}
    unavailable: set[str] = set()
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        for route in ordered:
            answer = await http.request(**route.request(values))
            assert answer.status_code != 500, (str(route), answer.text)
            if answer.status_code == 503:
                unavailable.add(str(route))
                assert answer.headers["retry-after"] == "2"
                assert (answer.json()["code"], RETRY in answer.json()["message"]) == ("unavailable", True)
    assert unavailable >= NEEDS.get(service, set())


def _in_one_message(app: Any) -> Any:
    """The application, given a request's body as Mangum does."""

    async def given(scope: Any, receive: Any, send: Any) -> None:
        parts = [await receive()]
        while parts[-1].get("more_body"):
            parts.append(await receive())
        whole = {"type": "http.request", "body": b"".join(part["body"] for part in parts)}

        async def receive_whole() -> Any:
            return whole

        await app(scope, receive_whole, send)

    return given


def _event(name: str, connection_id: str, **fields: Any) -> Json:
    event = {**aws_event(f"websocket_{name}"), **fields}
    event["requestContext"]["connectionId"] = connection_id
    return event


def _connecting(owned: Owned, connection_id: str) -> Json:
    headers = {"Authorization": f"Bearer {token(owned.account_id)}"}
    query = {"thread_id": str(owned.thread_id)}
    return _event("connect", connection_id, headers=headers, queryStringParameters=query)


@pytest.mark.usefixtures("api")
async def test_nobody_is_connected_and_everybody_told_to_come_back(fail: Fail, owned: Owned) -> None:
    await fail("dynamodb")
    by_token = _connecting(owned, "c1=")
    by_ticket = _event(
        "connect", "c2=", headers={}, queryStringParameters={"thread_id": str(owned.thread_id), "ticket": "x"}
    )
    for event in (by_token, by_ticket):
        answer = await main.answer(event)
        assert (answer["statusCode"], answer["headers"]) == (503, {"retry-after": "2"})
        assert RETRY in json.loads(answer["body"])["message"]


@each_service
@pytest.mark.usefixtures("api")
async def test_every_event_of_a_connection_is_answered(fail: Fail, owned: Owned, service: str) -> None:
    connection_id = f"{uuid4().hex[:15]}="
    assert await main.answer(_connecting(owned, connection_id)) == {"statusCode": 200}
    await fail(service)
    for method in sorted(COMMANDS):
        told = await main.answer(_event("message", connection_id, body=json.dumps(_command(method, owned))))
        _check(service, method, json.loads(told["body"]))
    assert await main.answer(_event("disconnect", connection_id)) == {"statusCode": 200}


@each_service
@pytest.mark.usefixtures("api")
async def test_every_command_is_answered(fail: Fail, owned: Owned, service: str) -> None:
    record = ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=owned.account_id,
        thread_id=owned.thread_id,
        opened_at=0,
        credential_expires_at=2**31,
    )
    caller = Caller(account_id=owned.account_id, thread_id=owned.thread_id, connection=record)
    await fail(service)
    for method in sorted(COMMANDS):
        _check(service, method, await execute(json.dumps(_command(method, owned)), caller))
    if service == "dynamodb":
        told = await execute(json.dumps(_command("subscription.subscribe", owned)), caller)
        assert (told["error"], RETRY in told["message"]) == ("unknown_error", True)


def _command(method: str, owned: Owned) -> Json:
    params = json.dumps(COMMAND_PARAMS[method]).replace("{run_id}", str(owned.agent_run_id))
    return {"id": 7, "method": method, "params": json.loads(params)}


def _check(service: str, method: str, told: Json) -> None:
    assert told["id"] == 7, (service, method, told)
    assert "it has been logged" not in str(told), (service, method, told)


async def test_a_refusal_that_answers_is_no_fault(subscriptions_table: str) -> None:
    client: Any = await clients.dynamodb()
    key = {"thread_id": {"S": str(uuid4())}, "connection_id": {"S": "c"}}
    with pytest.raises(faults.RefusedError) as refused:
        await client.put_item(
            TableName=subscriptions_table, Item=key, ConditionExpression="attribute_exists(thread_id)"
        )
    assert refused.value.code == "ConditionalCheckFailedException"


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_that_is_none_is_the_services_unavailability(service: str) -> None:
    with pytest.raises(SERVICES[service].unavailable), translated(service):
        raise ResponseParserError("the answer is no XML")
