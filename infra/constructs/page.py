"""The chat page: its files in a bucket that only the edge reads, put there by a function when they change."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.bundling import PROJECT, BundleError
from infra.constructs.functions import Function, FunctionSpec
from infra.constructs.retention import retention
from infra.stages import FunctionSettings, Stage

BUILD = PROJECT / "scripts" / "web.sh"
BUILT = PROJECT / "clients" / "web" / "dist"
PREFIX = "app"
"""First part of the page's path, and of its files' keys."""

PUBLISHER = FunctionSpec(group="api", handler="functions.api.page.main.handler", service="page", uses=frozenset())
SETTINGS = FunctionSettings(memory_mb=512, timeout_s=120, concurrency=1)


class Page(Construct):
    """The bucket, and the custom resource that fills it. `bucket` has the files under `app/`."""

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, code: lambda_.Code, config: Mapping[str, str]
    ) -> None:
        """code: the bundle of group `api`. config: what the page is told in its `config.json`."""
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            # Everything in it can be built again. A bucket with objects is not removed, as the function that would
            # empty it would be one more; `docs/deploy.md` says what to do.
            removal_policy=RemovalPolicy.RETAIN,
        )
        built = build_page()
        files = assets.Asset(self, "Files", path=str(built))
        publisher = Function(
            self,
            "Publisher",
            spec=PUBLISHER,
            settings=SETTINGS,
            code=code,
            environment={"STAGE": stage.name, "LOG_LEVEL": stage.log_level},
            retention=retention(stage.log_retention_days),
            # It reaches S3 and nothing else.
            network=None,
        )
        publisher.role.add_to_policy(
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[files.bucket.arn_for_objects(files.s3_object_key)])
        )
        publisher.role.add_to_policy(
            iam.PolicyStatement(actions=["s3:PutObject"], resources=[self.bucket.arn_for_objects(f"{PREFIX}/*")])
        )
        resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::Page",
            service_token=publisher.function.function_arn,
            service_timeout=Duration.minutes(5),
            properties={
                "SourceBucket": files.s3_bucket_name,
                "SourceKey": files.s3_object_key,
                "Bucket": self.bucket.bucket_name,
                "Config": dict(config),
                "FilesHash": page_hash(built),
            },
        )
        # Without its policy the function could not write yet.
        resource.node.add_dependency(publisher.role)


def build_page() -> Path:
    """Folder of the built page, built now unless it is up to date. Raises BundleError with npm's reason."""
    done = subprocess.run([BUILD], env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundleError(done.stderr.strip().removeprefix("error: ") or f"{BUILD} failed")
    return BUILT


def page_hash(folder: Path) -> str:
    """SHA-256 (hex) of the page's files: it is published again when one changes."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
