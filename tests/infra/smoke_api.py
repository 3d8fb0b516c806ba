"""What the group `api` needs of its bundle.

Run by `test_bundles.py` in a process of its own, with the bundle as the only thing on the path.
"""

import asyncio
import json
import sys
from typing import Any, cast

import aioboto3
import aiohttp
import asyncpg
import asyncpg.protocol.protocol
import boto3
import hiredis
import jwt
import multipart
import pydantic_settings
import redis.asyncio.cluster
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor
from fastapi import FastAPI
from jwt.algorithms import has_crypto
from mangum import Mangum

SERVICES = ("apigatewaymanagementapi", "dynamodb", "lambda", "s3", "secretsmanager", "sqs", "stepfunctions", "sts")


def request(path: str) -> dict[str, object]:
    """An HTTP API event, payload 2.0."""
    context = {"http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}}
    return {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "requestContext": context}


async def open_clients() -> list[str]:
    """Make every AWS client that the functions use; it reads the service's model."""
    session = aioboto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    names: list[str] = []
    for service in SERVICES:
        async with session.client(service, endpoint_url="http://127.0.0.1:1") as client:
            names.append(client.meta.service_model.service_name)
    return names


def main() -> None:
    """Use each dependency once and print what came of it."""
    app = FastAPI()

    @app.get("/ok")
    async def ok() -> dict[str, bool]:
        return {"ok": True}

    asyncio.set_event_loop(asyncio.new_event_loop())
    answer = Mangum(app, lifespan="off")(request("/ok"), cast("Any", None))
    key = "k" * 32
    sys.stdout.write(
        json.dumps(
            {
                "status": answer["statusCode"],
                "token": jwt.decode(jwt.encode({"sub": "a"}, key, "HS256"), key, ["HS256"])["sub"],
                "rsa": has_crypto,
                "services": asyncio.new_event_loop().run_until_complete(open_clients()),
                "boto3": boto3.client("sqs", region_name="us-east-1").meta.region_name,
                "modules": sorted(
                    module.__name__
                    for module in (aiohttp, asyncpg, hiredis, multipart, pydantic_settings, redis.asyncio.cluster)
                ),
                "powertools": [Logger(service="x").service, BatchProcessor.__name__],
            }
        )
    )


main()
