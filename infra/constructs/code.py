"""Where the functions' code comes from: a folder that LocalStack runs in place, or a bundle that is uploaded."""

from __future__ import annotations

from typing import Protocol

from aws_cdk import Annotations, AssetHashType, CfnParameter, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from infra.bundling import build

HOT_RELOAD_BUCKET = "hot-reload"
"""LocalStack's name for "the key is a folder on this machine" (LocalStack documentation, "Hot reloading")."""


class CodeSource(Protocol):
    """Gives the code of a function group (`api`, `runner`, `summarizer`)."""

    def of(self, group: str) -> lambda_.Code:
        """Code of the group."""
        ...


class HotReload:
    """Folders `<root>/<group>`, run where they are; the root is known only at deployment."""

    def __init__(self, stack: Stack, *, root: CfnParameter) -> None:
        """root: parameter with the absolute path of the folder that holds the groups' folders."""
        self._bucket = s3.Bucket.from_bucket_name(stack, "HotReload", HOT_RELOAD_BUCKET)
        Annotations.of(self._bucket).acknowledge_warning(
            "@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified", "a folder has no versions"
        )
        self._root = root

    def of(self, group: str) -> lambda_.Code:
        """Code of the group."""
        return lambda_.Code.from_bucket(self._bucket, f"{self._root.value_as_string}/{group}")


class Bundles:
    """Folders built by `infra.bundling` for one processor and uploaded as zip files."""

    def __init__(self, *, machine: str) -> None:
        """machine: a key of `infra.bundling.PLATFORMS`."""
        self._machine = machine

    def of(self, group: str) -> lambda_.Code:
        """Code of the group, built now unless the cache has it."""
        bundle = build(group, self._machine)
        return lambda_.Code.from_asset(str(bundle.path), asset_hash=bundle.digest, asset_hash_type=AssetHashType.CUSTOM)
