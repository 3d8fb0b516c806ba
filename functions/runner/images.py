"""Images in messages: what refers to a file of the thread, or to an address, becomes data that a model is shown.

No address reaches litellm or a provider in a block: whoever is sent one may fetch it.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from functions.runner import remote_images
from functions.runner.remote_images import BEGINNINGS, NO_IMAGE, Allowance, NotShownError
from shared.aws import objects
from shared.database import connection, files
from shared.domain import Claim, Json
from shared.errors import FilesUnavailableError, NotFoundError
from shared.telemetry import logger

# Of all images that a model is shown at once: providers refuse requests of about 30 MB, and base64 adds a third.
MOST_BYTES = 20_000_000

_ADDRESSES = frozenset(
    [
        "audio_url",
        "data",
        "document_url",
        "file_data",
        "file_id",
        "file_uri",
        "file_url",
        "image_url",
        "uri",
        "url",
        "video_url",
    ]
)
# Also with spaces before it, which a client may strip.
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:(?://|[^\s])")
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
        self._allowance = Allowance()

    async def shown(self, messages: Sequence[Json]) -> list[Json]:
        """The messages as a model takes them. The newest images are shown; one that cannot be shown is named."""
        # Beside the loop: how much there is to look through is a tenant's choice.
        naming = await asyncio.to_thread(_naming, messages)
        left = MOST_BYTES
        self._allowance = Allowance()
        newest_first: list[Json] = []
        for place, message in reversed(list(enumerate(messages))):
            if place in naming:
                shown: list[Json] = []
                for index, block in reversed(list(enumerate(cast("list[Json]", message["content"])))):
                    image = await self._shown(block, left) if index in naming[place] else Image(block)
                    left -= image.size
                    shown.append(image.block)
                newest_first.append({**message, "content": shown[::-1]})
            else:
                newest_first.append(message)
        return newest_first[::-1]

    async def _shown(self, block: Json, left: int) -> Image:
        """A block that has an image, or names an address."""
        if _is_image(block):
            return await self._kept(block["file_id"], block, left, self._look)
        url = _image_url(block)
        if url is not None:
            return await self._kept(url, block, left, self._fetch)
        return _note(block, "only images are fetched from an address")

    async def _kept(self, name: str, block: Json, left: int, look: Callable[[Json, int], Awaitable[Image]]) -> Image:
        known = self._read.get(name)
        if known is None:
            known = await look(block, left)
            # So is a failure of an address: one that does not answer costs its time once a run. A file may come back.
            if known.size or look == self._fetch:
                self._read[name] = known
        return known if known.size <= left else _note(block, _TOO_MANY)

    async def _fetch(self, block: Json, left: int) -> Image:
        try:
            content = await remote_images.fetch(_image_url(block) or "", max_bytes=left, allowance=self._allowance)
        except NotShownError as problem:
            return _note(block, str(problem))
        for kind, beginnings in BEGINNINGS.items():
            if content.startswith(beginnings):
                return _data(kind, content)
        return _note(block, NO_IMAGE)

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
        if found.size > min(left, self._allowance.bytes):
            return _note(block, _TOO_MANY)
        # Also when it is not shown in the end: it is read.
        self._allowance.bytes -= found.size
        try:
            content = await objects.read(found.object_key, limit=found.size)
        except FilesUnavailableError:
            logger.warning("an image could not be read", exc_info=True)
            return _note(block, "it cannot be read just now")
        if content is None:
            return _note(block, "it has been deleted")
        if not content.startswith(BEGINNINGS.get(found.content_type, ())):
            return _note(block, f"it is no {found.content_type}")
        return _data(found.content_type, content)


def _data(kind: str, content: bytes) -> Image:
    url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Image({"type": "image_url", "image_url": {"url": url}}, size=len(content))


def _naming(messages: Sequence[Json]) -> dict[int, set[int]]:
    """The places of messages, and of the blocks in them, that have an image of the thread's or name an address."""
    found: dict[int, set[int]] = {}
    for place, message in enumerate(messages):
        blocks: Any = message.get("content")
        if isinstance(blocks, list):
            named = {index for index, block in enumerate(cast("list[Any]", blocks)) if _needs_showing(block)}
            if named:
                found[place] = named
    return found


def _needs_showing(block: Any) -> bool:
    return isinstance(block, dict) and (_is_image(cast("Json", block)) or _names_address(cast("Json", block)))


def _is_image(block: Json) -> bool:
    return block.get("type") == "image" and isinstance(block.get("file_id"), str)


def _image_url(block: Json) -> str | None:
    """The address of an image, as OpenAI and LangChain write it."""
    if block.get("type") not in {"image_url", "image", "input_image"}:
        return None
    image: Any = block.get("image_url", block.get("url"))
    url: Any = cast("Json", image).get("url") if isinstance(image, dict) else image
    return url if isinstance(url, str) and _is_address(url) else None


def _names_address(block: Json) -> bool:
    """Whether a block has an address where providers and litellm look for one, at any depth.

    The arguments of a call may hold addresses: they are words to a model.
    """
    rest: list[Any] = [block]
    while rest:
        item = rest.pop()
        if isinstance(item, dict) and cast("Json", item).get("type") != "tool_use":
            for key, value in cast("Json", item).items():
                if key in _ADDRESSES and isinstance(value, str) and _is_address(value):
                    return True
                rest.append(value)
        elif isinstance(item, list):
            rest += cast("list[Any]", item)
    return False


def _is_address(text: str) -> bool:
    """Whether a provider's client would take it for something to fetch: anything with a scheme but ``data``."""
    return _SCHEME.match(text) is not None and text.lstrip()[:5].lower() != "data:"


def _note(block: Json, why: str) -> Image:
    name = block.get("name") or block.get("type")
    return Image({"type": "text", "text": f"(image {name!r}: not shown, {why})"})
