"""Shapes of files on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from functions.api.body import Body
from shared.aws.objects import DOWNLOAD_S, UPLOAD_S, Upload
from shared.database.files import File

LONGEST_NAME_BYTES = 255


def checked_name(name: str) -> str:
    """A file's name: it is shown and offered for saving, so it is one visible part of a path.

    Raises:
        ValueError: it is not.
    """
    if not name.strip() or name in {".", ".."}:
        raise ValueError("a file needs a name")
    # Control characters, and those that change the direction of what is shown around them, are not printable.
    if not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError("a file's name has no control characters and no '/' or '\\'")
    if len(name.encode()) > LONGEST_NAME_BYTES:
        raise ValueError(f"a file's name has at most {LONGEST_NAME_BYTES} bytes")
    return name


class FileCreate(Body):
    """Body of ``POST /threads/{thread_id}/files``. ``size`` in bytes."""

    name: Annotated[str, AfterValidator(checked_name)]
    content_type: str = Field(max_length=100)
    size: int = Field(ge=1, lt=2**63)

    def file(self, *, thread_id: UUID, account_id: str) -> File:
        """The file to record."""
        return File(
            thread_id=thread_id,
            account_id=account_id,
            name=self.name,
            content_type=self.content_type.lower(),
            size=self.size,
        )


class WireFile(BaseModel):
    """A file. ``status``: ``stored`` once its upload is complete."""

    file_id: UUID
    thread_id: UUID
    name: str
    content_type: str
    size: int
    status: Literal["pending", "stored"]
    created_at: datetime

    @classmethod
    def of(cls, file: File) -> "WireFile":
        """``file`` on the wire."""
        return cls.model_validate(_fields(file))


class WireUpload(BaseModel):
    """How to upload: a form (``multipart/form-data``) of ``fields`` and then the content as ``file``, to ``url``.

    ``expires_in``: seconds within which the upload has to begin.
    """

    method: Literal["POST"] = "POST"
    url: str
    fields: dict[str, str]
    expires_in: int = UPLOAD_S


class FileCreated(WireFile):
    """A file that was announced, and how to upload it."""

    upload: WireUpload

    @classmethod
    def by(cls, file: File, upload: Upload) -> "FileCreated":
        """``file``, to be uploaded by ``upload``."""
        return cls.model_validate(_fields(file) | {"upload": WireUpload(url=upload.url, fields=upload.fields)})


class WireDownload(BaseModel):
    """Where to download: ``url`` needs no credential, for ``expires_in`` seconds."""

    url: str
    expires_in: int = DOWNLOAD_S


class FileShown(WireFile):
    """A file, and where to download it once it is stored."""

    download: WireDownload | None

    @classmethod
    def at(cls, file: File, url: str | None) -> "FileShown":
        """``file``, to be downloaded at ``url``."""
        return cls.model_validate(_fields(file) | {"download": None if url is None else WireDownload(url=url)})


def _fields(file: File) -> dict[str, object]:
    return {
        "file_id": file.file_id,
        "thread_id": file.thread_id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "status": "stored" if file.stored else "pending",
        "created_at": file.created_at,
    }
