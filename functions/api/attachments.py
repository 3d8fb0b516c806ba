"""Files in messages: a block of content that names a file becomes what an agent can use.

Of a text file the message gets the text, so that it is counted, shortened, expanded and summarised as all text is, and
stays what it was when the file is deleted. An image stays a reference, ``{"type": "image", "file_id", "name",
"mime_type"}``, which the runner replaces by the image. Of any other file the message says that it is there.
"""

import asyncio
import codecs
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from functions.api.files import is_as_announced, note_stored
from shared.aws import objects
from shared.database import connection, files
from shared.database.files import File
from shared.domain import Json
from shared.errors import InvalidRequestError
from shared.runs.record import NewMessage

MOST_FILES = 20
# Of one file, in a message. A longer one is cut, and says so.
MOST_TEXT_BYTES = 100_000
# The largest that a model's provider takes (https://docs.claude.com/en/docs/build-with-claude/vision).
MOST_IMAGE_BYTES = 5 * 1024 * 1024

_TEXT_TYPES = ("text/", "application/json")


async def attach(
    new: Sequence[NewMessage],
    *,
    account_id: str,
    thread_id: UUID,
    at_hand: Mapping[UUID, tuple[File, bytes]] = MappingProxyType({}),
) -> list[NewMessage]:
    """The messages with their files. ``at_hand``: files that are about to be recorded with them, and their contents.

    Raises:
        NotFoundError: the thread has no such file.
        InvalidRequestError: a file is not uploaded, is no text though it says so, or is too large an image; there are
            too many.
    """
    named = {file_id for message in new for block in _blocks(message) if (file_id := _file_id(block)) is not None}
    if not named:
        return list(new)
    if len(named) > MOST_FILES:
        raise InvalidRequestError(f"there are {len(named)} files in these messages, at most {MOST_FILES} are possible")
    wanted = sorted(named - at_hand.keys())
    found = {file_id: file for file_id, (file, _) in at_hand.items()}
    if wanted:
        found |= await _stored(wanted, account_id=account_id, thread_id=thread_id)
    shown = await asyncio.gather(*(_shown(found[file_id], at_hand.get(file_id)) for file_id in named))
    by_id = dict(zip(named, shown, strict=True))
    return [_with(message, by_id) for message in new]


def _blocks(message: NewMessage) -> list[Json]:
    content: Any = message.content.get("content")
    return cast("list[Json]", content) if isinstance(content, list) else []


def _file_id(block: Json) -> UUID | None:
    """The file that a block names: as LangChain writes it, or as OpenAI does."""
    inner: Any = block.get("file")
    name: Any = block.get("file_id")
    if name is None and isinstance(inner, dict):
        name = cast("Json", inner).get("file_id")
    if name is None:
        return None
    try:
        return UUID(name)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(f"file_id: {name!r} is not the id of a file") from error


async def _stored(file_ids: Sequence[UUID], *, account_id: str, thread_id: UUID) -> dict[UUID, File]:
    async with connection() as taken:
        found = await files.find(taken, file_ids=file_ids, thread_id=thread_id, account_id=account_id)
    ordered = [found[file_id] for file_id in file_ids]
    for file, seen in zip(ordered, await objects.heads([file.object_key for file in ordered]), strict=True):
        if not is_as_announced(file, seen):
            raise InvalidRequestError(
                f"file {str(file.file_id)!r} ({file.name}) is not uploaded, or not as it was announced"
            )
    if any(not file.stored for file in ordered):
        await note_stored(ordered)
    return found


async def _shown(file: File, at_hand: tuple[File, bytes] | None) -> Json:
    """The block that stands for a file in a message."""
    if file.content_type.startswith("image/"):
        if file.size > MOST_IMAGE_BYTES:
            raise InvalidRequestError(
                f"file {str(file.file_id)!r}: a model is shown images of up to {MOST_IMAGE_BYTES} bytes,"
                f" this has {file.size}"
            )
        return {
            "type": "image",
            "file_id": str(file.file_id),
            "name": file.name,
            "mime_type": file.content_type,
        }
    if not file.content_type.startswith(_TEXT_TYPES):
        return {"type": "text", "text": f"{_heading(file)}: its content is not shown here)"}
    content = at_hand[1] if at_hand else await objects.read(file.object_key, limit=MOST_TEXT_BYTES)
    text = _text(file, content or b"")
    cut = "" if file.size <= MOST_TEXT_BYTES else f", the first {MOST_TEXT_BYTES}"
    return {"type": "text", "text": f"{_heading(file)}{cut}:)\n{text}"}


def _heading(file: File) -> str:
    return f"(file {file.name!r}, {file.content_type}, {file.size} bytes"


def _text(file: File, content: bytes) -> str:
    is_whole = file.size <= MOST_TEXT_BYTES
    try:
        # The cut may go through a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(content[:MOST_TEXT_BYTES], final=is_whole)
    except UnicodeDecodeError as error:
        raise _no_text(file) from error
    if "\0" in text:
        raise _no_text(file)
    return text


def _no_text(file: File) -> InvalidRequestError:
    return InvalidRequestError(f"file {str(file.file_id)!r} ({file.name}) is {file.content_type}, but not UTF-8 text")


def _with(message: NewMessage, shown: Mapping[UUID, Json]) -> NewMessage:
    blocks = _blocks(message)
    if not blocks:
        return message
    content = [block if (file_id := _file_id(block)) is None else shown[file_id] for block in blocks]
    return replace(message, content={**message.content, "content": content})
