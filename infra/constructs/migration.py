"""Runs the database migrations as a part of the deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IConstruct

RESOURCE_TYPE = "Custom::Migration"
MIGRATIONS = Path(__file__).resolve().parents[2] / "shared" / "migrations"


class Migration(Construct):
    """Custom resource that changes when a migration file does, so that CloudFormation calls the migrate function.

    The function answers CloudFormation itself; the CDK's provider framework would add Lambda functions of its own.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        after: Sequence[IConstruct],
        folder: Path = MIGRATIONS,
    ) -> None:
        """after: what must exist first. folder: the `*.sql` files."""
        super().__init__(scope, construct_id)
        resource = CustomResource(
            self,
            "Migration",
            resource_type=RESOURCE_TYPE,
            service_token=function.function_arn,
            service_timeout=Duration.minutes(10),
            properties={"MigrationsHash": migrations_hash(folder)},
        )
        resource.node.add_dependency(*after)


def migrations_hash(folder: Path = MIGRATIONS) -> str:
    """SHA-256 (hex) over names and contents of the migration files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.sql")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
