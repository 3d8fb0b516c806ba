"""Images in messages: what refers to a file of the thread becomes what a model is shown."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from shared.aws import objects
from shared.database import connection, files
from shared.domain import Claim, Json
from shared.errors import FilesUnavailableError, NotFoundError
from shared.telemetry import logger

# Of all images that a model is shown at once: providers refuse requests of about 30 MB, and base64 adds a third.
MOST_BYTES = 20_000_000

# How files of these types begin: a provider that is shown anything else would refuse every later run of the thread.
_BEGINNINGS = {
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
}


_TOO_MANY = "there are newer ones, and no room for all"


@dataclass(frozen=True)
class Image:
    """A block as a model takes it. ``size``: bytes of the image in it."""

    block: Json
    size: int = 0


class Images:
    """The images of one run's thread; read once, kept while the run is advanced."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._read: dict[str, Image] = {}

    async def shown(self, messages: Sequence[Json]) -> list[Json]:
        """The messages as a model takes them. The newest images are shown; one that cannot be shown is named."""
        left = MOST_BYTES
        newest_first: list[Json] = []
        for message in reversed(messages):
            blocks: Any = message.get("content")
            if isinstance(blocks, list) and any(_is_image(block) for block in cast("list[Json]", blocks)):
                shown: list[Json] = []
                for block in reversed(cast("list[Json]", blocks)):
                    image = await self._image(block, left) if _is_image(block) else Image(block)
                    left -= image.size
                    shown.append(image.block)
                newest_first.append({**message, "content": shown[::-1]})
            else:
                newest_first.append(message)
        return newest_first[::-1]

    async def _image(self, block: Json, left: int) -> Image:
        file_id: str = block["file_id"]
        known = self._read.get(file_id)
        if known is None:
            known = await self._look(block, left)
            if known.size:
                self._read[file_id] = known
        return known if known.size <= left else _note(block, _TOO_MANY)

    async def _look(self, block: Json, left: int) -> Image:
        claim = self._claim
        file_id = UUID(block["file_id"])
        try:
            async with connection() as taken:
                files_by_id = await files.find(
                    taken, file_ids=[file_id], thread_id=claim.thread_id, account_id=claim.account_id
                )
        except NotFoundError:
            return _note(block, "it has been deleted")
        found = files_by_id[file_id]
        if found.size > left:
            return _note(block, _TOO_MANY)
        try:
            content = await objects.read(found.object_key, limit=found.size)
        except FilesUnavailableError:
            logger.warning("an image could not be read", exc_info=True)
            return _note(block, "it cannot be read just now")
        if content is None:
            return _note(block, "it has been deleted")
        if not content.startswith(_BEGINNINGS.get(found.content_type, ())):
            return _note(block, f"it is no {found.content_type}")
        encoded = base64.b64encode(content).decode()
        url = f"data:{found.content_type};base64,{encoded}"
        return Image({"type": "image_url", "image_url": {"url": url}}, size=found.size)


def _is_image(block: Json) -> bool:
    return block.get("type") == "image" and "file_id" in block


def _note(block: Json, why: str) -> Image:
    return Image({"type": "text", "text": f"(image {block.get('name')!r}: not shown, {why})"})
