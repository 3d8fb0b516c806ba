"""What a deployment has to do that CloudFormation cannot: a function does it, as a custom resource.

The functions answer CloudFormation themselves (`shared/aws/custom_resource.py`); the CDK's provider framework would add
Lambda functions of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IDependable

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "shared" / "migrations"
TOOLS = ROOT / "functions" / "runner" / "tools"
RUNNER_LOCK = ROOT / "locks" / "runner.txt"


class DeployStep(Construct):
    """Custom resource that changes when the files behind it do, so that CloudFormation calls its function again."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        files_hash: str,
        after: Sequence[IDependable],
    ) -> None:
        """construct_id: also its type, `Custom::<construct_id>`. after: what must exist first."""
        super().__init__(scope, construct_id)
        resource = CustomResource(
            self,
            "Resource",
            resource_type=f"Custom::{construct_id}",
            service_token=function.function_arn,
            service_timeout=Duration.minutes(10),
            properties={"FilesHash": files_hash},
        )
        resource.node.add_dependency(*after)


def migrations_hash(folder: Path = MIGRATIONS) -> str:
    """SHA-256 (hex) of the migration files: the database is migrated when one is added."""
    return _hash(folder.glob("*.sql"))


def catalogue_hash(tools: Path = TOOLS, lock: Path = RUNNER_LOCK) -> str:
    """SHA-256 (hex) of the tools and of litellm's version: what the catalogue of tools and models is made from."""
    return _hash([*tools.rglob("*.py"), lock])


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
