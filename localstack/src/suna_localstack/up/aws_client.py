"""Clients of the local AWS endpoint, with the types that boto3 makes at run time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast, overload

import boto3
from botocore.client import BaseClient
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "us-east-1"


@overload
def client(service: Literal["cloudformation"], endpoint_url: str) -> "CloudFormationClient": ...
@overload
def client(service: Literal["lambda"], endpoint_url: str) -> "LambdaClient": ...
@overload
def client(service: Literal["s3"], endpoint_url: str) -> "S3Client": ...
@overload
def client(service: Literal["secretsmanager"], endpoint_url: str) -> "SecretsManagerClient": ...
@overload
def client(service: str, endpoint_url: str) -> BaseClient: ...
def client(service: str, endpoint_url: str) -> BaseClient:
    """A client of the local AWS endpoint; it ignores the user's AWS configuration."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)  # noqa: S106
    # A worker's cold start can hold an answer back for longer than the default minute.
    config = Config(retries={"total_max_attempts": 2}, read_timeout=180, max_pool_connections=20)
    make = cast(Callable[..., BaseClient], session.client)  # pyright: ignore[reportUnknownMemberType]
    return make(service, endpoint_url=endpoint_url, config=config)
