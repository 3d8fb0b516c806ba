"""Real servers for the session; a database, queues and an account of its own for each test."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import aioboto3
import pytest

from shared.aws.clients import s3, secrets_manager, sqs
from shared.stream import audience, subscriptions, wake
from tests.cable import Cable
from tests.integration import opened
from tests.integration.databases import LEASE_S, Database, DatabaseServer
from tests.integration.deployed import AUDIENCE, HS256_SECRET, ISSUER, Deployed
from tests.integration.function_process import FunctionProcess, function_process
from tests.integration.gateway import Gateway, gateway
from tests.integration.owned import Owned, own
from tests.integration.queues import QueueName, Queues
from tests.integration.servers import Servers, servers
from tests.integration.watched_thread import WatchedThread

SUBSCRIPTIONS_TABLE = "subscriptions"
FILES_BUCKET = "files"

type StartFunction = Callable[..., FunctionProcess]

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "STAGE": "local",
    "LEASE_S": str(LEASE_S),
    "WAKE_BY_S": "60",
    "POSTGRES_POOL_SIZE": "4",
    "SUBSCRIPTIONS_TABLE": SUBSCRIPTIONS_TABLE,
    "FILES_BUCKET": FILES_BUCKET,
    "CONNECTIONS_URL": "http://127.0.0.1:1",
    "POWERTOOLS_SERVICE_NAME": "tests",
}


@pytest.fixture(scope="session")
def running() -> Iterator[Servers]:
    """The servers."""
    with servers() as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def _environment(running: Servers) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN"}:
            patch.delenv(name)
        urls = {"AWS_ENDPOINT_URL": running.aws_endpoint_url, "REDIS_URL": running.redis_url}
        for name, value in (_ENVIRONMENT | urls).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
async def _opened(_environment: None) -> AsyncIterator[None]:
    yield
    await opened.close_everything()


@pytest.fixture
def in_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that are in no table are there all the same, as they are, and private."""

    async def is_present(*_: Any) -> bool:
        return True

    async def public(*_: Any) -> None:
        pass

    monkeypatch.setattr(audience, "_is_present", is_present)
    monkeypatch.setattr(audience, "_public", public)


@pytest.fixture
def hung_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whom the sender function, which is not there, was told to hang up: the gateway has closed them at once."""
    told: list[str] = []

    async def close_surely(connection_ids: Sequence[str]) -> None:
        told.extend(connection_ids)
        for connection_id in connection_ids:
            await subscriptions.delete_connection(connection_id)

    monkeypatch.setattr(wake, "close_surely", close_surely)
    return told


@pytest.fixture(params=["a cluster", "an ordinary Redis"])
async def either_redis(request: pytest.FixtureRequest, running: Servers) -> AsyncIterator[str]:
    """The code under test uses a Redis of each kind in turn: its URL."""
    url = running.redis_url if request.param == "a cluster" else running.plain_redis_url
    await opened.close_redis()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", url)
        opened.forget_settings()
        yield url
        await opened.close_redis()
    opened.forget_settings()


@pytest.fixture(scope="session")
def database_server(running: Servers) -> DatabaseServer:
    """Makes databases."""
    return DatabaseServer(running.database_url)


@pytest.fixture(scope="session")
async def _template(database_server: DatabaseServer) -> AsyncIterator[str]:
    async with database_server.template() as name:
        yield name


async def store_secret(text: str) -> str:
    """Put a secret into Secrets Manager; returns its ARN."""
    client: Any = await secrets_manager()
    answer = await client.create_secret(Name=uuid4().hex, SecretString=text)
    return answer["ARN"]


@asynccontextmanager
async def using(secret: str) -> AsyncIterator[None]:
    """Have the code under test use the database of ``secret``."""
    with pytest.MonkeyPatch.context() as patch:
        await opened.close_database()
        patch.setenv("DATABASE_SECRET_ARN", await store_secret(secret))
        yield
        await opened.close_database()


@pytest.fixture
async def database(database_server: DatabaseServer, _template: str) -> AsyncIterator[Database]:
    """A migrated database of the test's own, which the code under test uses too."""
    async with database_server.database(template=_template) as found, using(found.secret()):
        yield found


@pytest.fixture
async def empty_database(database_server: DatabaseServer) -> AsyncIterator[Database]:
    """A database without a schema."""
    async with database_server.database() as found:
        yield found


async def create_queues() -> dict[QueueName, str]:
    """Three new queues; returns their URLs."""
    client: Any = await sqs()
    names: tuple[QueueName, ...] = ("runs", "retry", "watch")
    answers = await asyncio.gather(*(client.create_queue(QueueName=f"{name}-{uuid4().hex}") for name in names))
    return {name: answer["QueueUrl"] for name, answer in zip(names, answers, strict=True)}


@pytest.fixture
async def cable(database: Database) -> AsyncIterator[Cable]:
    """Between the code under test and its database."""
    cable = Cable(database.port)
    cable.plug()
    async with using(database.secret(port=cable.port)):
        yield cable
    cable.cut()


@pytest.fixture
async def queues(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queues]:
    """Queues of the test's own."""
    urls = await create_queues()
    for name, url in urls.items():
        monkeypatch.setenv(f"{name.upper()}_QUEUE_URL", url)
    opened.forget_settings()
    yield Queues(urls)
    client: Any = await sqs()
    for url in urls.values():
        await client.delete_queue(QueueUrl=url)


@pytest.fixture
async def redis_closed() -> AsyncIterator[None]:
    """What is opened of Redis is closed after the test."""
    yield
    await opened.close_redis()


@pytest.fixture
async def posts(redis_closed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """Where posts go."""
    del redis_closed
    async with gateway() as found:
        monkeypatch.setenv("CONNECTIONS_URL", found.url)
        opened.forget_settings()
        yield found


@pytest.fixture
async def watched_thread(
    database: Database, account_id: str, posts: Gateway, monkeypatch: pytest.MonkeyPatch
) -> WatchedThread:
    """A thread whose events somebody may watch."""
    thread_id = await database.new_thread(account_id)
    found = WatchedThread(database, posts, account_id, await database.log(thread_id))
    monkeypatch.setattr(wake, "sender", found.wake)
    return found


@pytest.fixture(scope="session")
async def subscriptions_table(_opened: None) -> str:
    """The table of subscriptions: its items are told apart by thread and connection."""
    # Not with the functions' client, which has less patience than LocalStack needs for its first table.
    session: Any = aioboto3.Session()
    async with session.client("dynamodb") as client:
        await client.create_table(
            TableName=SUBSCRIPTIONS_TABLE,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("thread_id", "connection_id")
            ],
            KeySchema=[
                {"AttributeName": "thread_id", "KeyType": "HASH"},
                {"AttributeName": "connection_id", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    return SUBSCRIPTIONS_TABLE


@pytest.fixture(scope="session")
async def files_bucket(_opened: None) -> str:
    """The bucket of files: its objects are told apart by account and thread."""
    await (await s3()).create_bucket(Bucket=FILES_BUCKET)
    return FILES_BUCKET


@pytest.fixture
def account_id() -> str:
    """An account of the test's own."""
    return f"account-{uuid4()}"


@pytest.fixture
async def owned(database: Database, account_id: str) -> Owned:
    """What the account has: one of everything."""
    return await own(database, account_id)


@pytest.fixture(scope="session")
async def deployed(
    database_server: DatabaseServer, _template: str, subscriptions_table: str
) -> AsyncIterator[Deployed]:
    """What the functions share."""
    urls = await create_queues()
    async with database_server.database(template=_template) as database:
        environment = {
            "DATABASE_SECRET_ARN": await store_secret(database.secret()),
            "AUTH_SECRET_ARN": await store_secret(json.dumps({"hs256_secret": HS256_SECRET})),
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
            "SUBSCRIPTIONS_TABLE": subscriptions_table,
            **{f"{name.upper()}_QUEUE_URL": url for name, url in urls.items()},
        }
        yield Deployed(database, Queues(urls), environment)


@pytest.fixture(scope="session")
def start_function(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartFunction]:
    """Starts functions; they end with the session."""
    with ExitStack() as stack:

        def start(handler: str, **environment: str) -> FunctionProcess:
            folder = tmp_path_factory.mktemp("function")
            return stack.enter_context(function_process(handler, {**deployed.environment, **environment}, folder))

        yield start
