"""Errors of AWS' and Redis' clients are named where they are translated only; whoever names one elsewhere is found."""

from pathlib import Path

import pytest

from scripts import raw_errors

CAUGHT = "try:\n    pass\nexcept {}:\n    pass\n"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from botocore.exceptions import ClientError\n" + CAUGHT.format("ClientError"), [1, 4]),
        ("from botocore.exceptions import BotoCoreError as Away\n" + CAUGHT.format("(Away, ValueError)"), [1, 4]),
        ("def f():\n    from redis.exceptions import RedisError\n", [2]),
        ("from redis import ConnectionError as Lost\n" + CAUGHT.format("Lost"), [1, 4]),
        ("from redis import exceptions\n" + CAUGHT.format("exceptions.TimeoutError"), [1, 4]),
        ("import redis\n" + CAUGHT.format("redis.RedisError"), [4]),
        ("import redis.asyncio as r\n" + CAUGHT.format("r.ConnectionError"), [4]),
        ("import botocore.exceptions\n" + CAUGHT.format("botocore.exceptions.EndpointConnectionError"), [4]),
        ("import botocore\n" + CAUGHT.format("botocore.exceptions.ReadTimeoutError"), [4]),
        ("from shared.stream import log\n" + CAUGHT.format("log.RedisError"), [4]),
        ("from shared.stream.redis_client import RedisError\n", [1]),
        ("from shared.stream.redis_client import RedisError as Away\n" + CAUGHT.format("Away"), [1, 4]),
        ("async def f(client):\n    try:\n        pass\n    except client.exceptions.Gone:\n        pass\n", [4]),
        ("away = isinstance(error, log.RedisError)\n", [1]),
    ],
)
def test_a_planted_one_is_found(source: str, lines: list[int]) -> None:
    assert sorted({line for line, _ in raw_errors.places(source)}) == lines


@pytest.mark.parametrize(
    "source",
    [
        "import aiohttp\n" + CAUGHT.format("aiohttp.ClientError"),
        "import aiohttp as http\n" + CAUGHT.format("(TimeoutError, http.ClientError)"),
        "from aiohttp import ClientError\n" + CAUGHT.format("ClientError"),
        "from redis.asyncio import RedisCluster\nfrom botocore.session import Session\n",
        "import starlette.exceptions\n" + CAUGHT.format("starlette.exceptions.HTTPException"),
        '"""An EventLogUnavailableError, once a RedisError."""\n',
    ],
)
def test_what_is_something_else_is_not(source: str) -> None:
    assert raw_errors.places(source) == []


def test_the_modules_that_translate_may_name_them_and_nobody_else(tmp_path: Path) -> None:
    for path in ("shared/aws/faults.py", "shared/stream/wake.py", "functions/api/tickets.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("from botocore.exceptions import ClientError\n", encoding="utf-8")
    assert raw_errors.outside(tmp_path) == [
        "functions/api/tickets.py:1: botocore.exceptions.ClientError",
        "shared/stream/wake.py:1: botocore.exceptions.ClientError",
    ]


def test_the_modules_that_translate_are_there() -> None:
    named = {path: raw_errors.places((raw_errors.ROOT / path).read_text()) for path in raw_errors.TRANSLATING}
    assert all(named.values()), named
