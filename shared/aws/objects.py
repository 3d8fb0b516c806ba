"""Objects in the files bucket, and the URLs by which clients reach them themselves."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.aws.clients import s3
from shared.aws.faults import RefusedError, translated
from shared.errors import FilesUnavailableError
from shared.settings import file_settings

# An upload may begin within this time, a download likewise.
UPLOAD_S = 900
DOWNLOAD_S = 300

_AT_ONCE = 10
# A request that S3 keeps waiting must still be answered.
_PATIENCE_S = 12.0


@dataclass(frozen=True)
class Seen:
    """What the bucket says of an object."""

    size: int
    content_type: str


@dataclass(frozen=True)
class Upload:
    """A form (``multipart/form-data``): ``fields`` in this order, then the content as the field ``file``."""

    url: str
    fields: dict[str, str]


@asynccontextmanager
async def _reaching() -> AsyncGenerator[None]:
    """Signing and reading a body are no calls: what they raise is translated here."""
    try:
        with translated("s3"):
            async with asyncio.timeout(_PATIENCE_S):
                yield
    except RefusedError as error:
        raise FilesUnavailableError from error


async def presign_upload(key: str, *, content_type: str, size: int, expires_s: int = UPLOAD_S) -> Upload:
    """A URL that takes one object of this name, type and size, and nothing else."""
    async with _reaching():
        form: Any = await (await s3()).generate_presigned_post(
            Bucket=file_settings().files_bucket,
            Key=key,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", size, size]],
            ExpiresIn=expires_s,
        )
    return Upload(form["url"], form["fields"])


async def presign_download(key: str, *, name: str, content_type: str, expires_s: int = DOWNLOAD_S) -> str:
    """A URL that a browser saves under ``name`` and never shows as a page of the bucket's host."""
    async with _reaching():
        return await (await s3()).generate_presigned_url(
            "get_object",
            Params={
                "Bucket": file_settings().files_bucket,
                "Key": key,
                # RFC 6266, with the name as in RFC 8187.
                "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
                "ResponseContentType": content_type,
            },
            ExpiresIn=expires_s,
        )


async def head(key: str) -> Seen | None:
    """What is there; ``None``: nothing."""
    async with _reaching():
        try:
            answer: Any = await (await s3()).head_object(Bucket=file_settings().files_bucket, Key=key)
        except RefusedError:
            return None
    return Seen(answer["ContentLength"], answer["ContentType"])


async def heads(keys: Sequence[str]) -> list[Seen | None]:
    """As :func:`head`, for many, some of them at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> Seen | None:
        async with gate:
            return await head(key)

    return await asyncio.gather(*(one(key) for key in keys))


async def read(key: str, *, limit: int) -> bytes | None:
    """The first ``limit`` bytes of an object that is not empty; ``None``: there is none."""
    async with _reaching():
        try:
            answer: Any = await (await s3()).get_object(
                Bucket=file_settings().files_bucket, Key=key, Range=f"bytes=0-{limit - 1}"
            )
        except RefusedError:
            return None
        async with answer["Body"] as body:
            return await body.read()


async def put(key: str, content: bytes, *, content_type: str) -> None:
    """Store an object."""
    async with _reaching():
        await (await s3()).put_object(
            Bucket=file_settings().files_bucket, Key=key, Body=content, ContentType=content_type
        )


async def delete(keys: Sequence[str]) -> list[str]:
    """Delete up to 1,000 objects; the names of those that are gone. Idempotent."""
    async with _reaching():
        answer: Any = await (await s3()).delete_objects(
            Bucket=file_settings().files_bucket,
            Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
        )
    failed = {error["Key"] for error in answer.get("Errors", [])}
    return [key for key in keys if key not in failed]
