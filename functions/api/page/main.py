"""The page function: a CloudFormation custom resource that puts the built chat page where the edge serves it from."""

import io
import json
import mimetypes
import zipfile
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.aws import clients, custom_resource
from shared.domain import Json
from shared.process import run
from shared.telemetry import bound, logger

PREFIX = "app/"
CONFIG = "config.json"
INDEX = "index.html"

# Names below assets/ hold a hash of what is in the file; every other file keeps its name when it changes.
_FIXED = "public, max-age=31536000, immutable"
_FRESH = "no-cache"
_TYPES = {".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8"}


@dataclass(frozen=True)
class File:
    """One object of the page."""

    key: str
    body: bytes
    content_type: str
    cache_control: str


def handler(event: dict[str, Any], _context: Any) -> None:
    """One custom resource event. Deleting the resource leaves the files: the bucket goes with the stack."""
    with bound(request_id=event["RequestId"]):
        act = partial(_publish, event["ResourceProperties"])
        run(custom_resource.answer(event, physical_id="page", act=act))


def files_of(archive: bytes, config: Json) -> list[File]:
    """The page's files and its configuration, in the order in which they may appear: what others need comes first.

    Raises:
        KeyError: the archive has no page.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        found = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    index = found.pop(INDEX)
    found.pop(CONFIG, None)
    return [_file(name, body) for name, body in (*found.items(), (CONFIG, json.dumps(config).encode()), (INDEX, index))]


def _file(name: str, body: bytes) -> File:
    suffix = name[name.rfind(".") :]
    guessed = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return File(PREFIX + name, body, guessed, _FIXED if name.startswith("assets/") else _FRESH)


async def _publish(properties: Json) -> Json:
    """Put every file. Files of earlier pages stay: somebody may have one open."""
    s3 = await clients.s3()
    answer = await s3.get_object(Bucket=properties["SourceBucket"], Key=properties["SourceKey"])
    files = files_of(await answer["Body"].read(), properties["Config"])
    for file in files:
        await s3.put_object(
            Bucket=properties["Bucket"],
            Key=file.key,
            Body=file.body,
            ContentType=file.content_type,
            CacheControl=file.cache_control,
        )
    logger.info("page published", extra={"files": len(files)})
    return {"Files": len(files)}
