"""Files with a real bucket and database: URLs that end, and objects that nobody forgets."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import botocore.auth
import httpx
import pytest

from functions.api import files as service
from functions.api.files import remove_objects
from shared.aws import objects
from shared.aws.clients import s3
from shared.database import connection, files, threads
from shared.database.files import File
from shared.domain import Json
from shared.errors import ConflictError, FilesUnavailableError, InvalidRequestError
from shared.runs.record import NewMessage, NewRun, record_run
from tests.integration.databases import Database
from tests.integration.queues import Queues

pytestmark = pytest.mark.usefixtures("files_bucket")


@pytest.fixture
async def file(database: Database, account_id: str) -> File:
    """A file of a thread, not uploaded yet."""
    return _file(account_id, thread_id=await database.new_thread(account_id))


def _file(account_id: str, **fields: object) -> File:
    content = {"name": "a.txt", "content_type": "text/plain", "size": 5}
    return File(**{"account_id": account_id, "thread_id": uuid4(), **content, **fields})  # pyright: ignore[reportArgumentType]


async def _inserted(file: File) -> None:
    async with connection() as taken:
        await files.insert(taken, file)


async def _removals(database: Database) -> list[str]:
    return [row["object_key"] for row in await database.connection.fetch("SELECT object_key FROM file_removals")]


async def _upload(form: objects.Upload) -> int:
    async with httpx.AsyncClient() as client:
        answer = await client.post(form.url, data=form.fields, files={"file": ("any", b"hello")})
        return answer.status_code


async def _download(url: str) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).status_code


async def test_urls_end(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _upload(await service.upload_of(file)) == 204
    assert await _download(await service.download_of(file)) == 200

    def as_of(seconds_ago: float) -> None:
        given_out = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: given_out.replace(tzinfo=None))

    as_of(objects.DOWNLOAD_S - 30)
    assert await _download(await service.download_of(file)) == 200
    as_of(objects.DOWNLOAD_S + 30)
    assert await _download(await service.download_of(file)) == 403


async def test_the_time_to_begin_an_upload_ends(file: File) -> None:
    form = await service.upload_of(file)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    left = datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)
    assert timedelta(seconds=objects.UPLOAD_S - 60) < left <= timedelta(seconds=objects.UPLOAD_S)

    ended = await objects.presign_upload(file.object_key, content_type=file.content_type, size=file.size, expires_s=-1)
    assert await _upload(ended) == 403
    assert await objects.head(file.object_key) is None


async def test_what_a_url_says_cannot_be_changed(file: File) -> None:
    other = replace(file, file_id=uuid4())
    for one in (file, other):
        assert await _upload(await service.upload_of(one)) == 204
    url = await service.download_of(file)
    for said, instead in (
        (str(file.file_id), str(other.file_id)),
        ("attachment", "inline"),
        ("text%2Fplain", "text%2Fhtml"),
        (f"X-Amz-Expires={objects.DOWNLOAD_S}", "X-Amz-Expires=604800"),
    ):
        changed = url.replace(said, instead)
        assert changed != url
        assert await _download(changed) == 403


async def test_an_object_that_is_not_what_was_announced_is_not_stored(file: File) -> None:
    await _inserted(file)
    for content, content_type in ((b"hello!", "text/plain"), (b"hello", "text/html")):
        await objects.put(file.object_key, content, content_type=content_type)
        shown = await service.get(account_id=file.account_id, thread_id=file.thread_id, file_id=file.file_id)
        assert not shown.stored
    await objects.put(file.object_key, b"hello", content_type="text/plain")
    [shown] = await service.page(account_id=file.account_id, thread_id=file.thread_id, limit=10, offset=0)
    assert shown.stored


async def test_objects_of_a_deleted_thread_are_removed_by_whoever_comes_next(database: Database, file: File) -> None:
    await _inserted(file)
    await objects.put(file.object_key, b"hello", content_type="text/plain")
    # WHEN whoever deletes the thread dies before anything else
    async with connection() as taken:
        await threads.delete(taken, thread_id=file.thread_id, account_id=file.account_id)
    assert await objects.head(file.object_key) is not None
    await remove_objects()
    assert await objects.head(file.object_key) is None

    # AND the client uploads it after that, with the URL that it has
    await objects.put(file.object_key, b"hello", content_type="text/plain")
    await remove_objects()
    assert await objects.head(file.object_key) is not None
    await database.connection.execute("UPDATE file_removals SET due_at = now(), last_at = now() - interval '1 s'")
    await remove_objects()
    assert await objects.head(file.object_key) is None
    assert await _removals(database) == []


async def test_objects_of_a_run_that_is_not_recorded_are_removed_within_the_hour(
    database: Database, queues: Queues, account_id: str
) -> None:
    new = _file(account_id)
    [stored] = await service.store([(new, b"hello")])
    # WHEN nobody records it
    await remove_objects()
    assert await objects.head(new.object_key) is not None
    await database.connection.execute("UPDATE file_removals SET due_at = due_at - interval '1 hour'")
    await remove_objects()
    assert await objects.head(new.object_key) is None
    assert await _removals(database) == []

    # AND when somebody does
    [stored] = await service.store([(_file(account_id), b"hello")])
    content: Json = {"role": "user", "content": "hi"}
    await record_run(
        NewRun(
            account_id=account_id,
            thread_id=stored.thread_id,
            assistant_id="agent",
            messages=[NewMessage(type="user", content=content)],
            create_thread=True,
            files=[stored],
        )
    )
    assert await _removals(database) == []
    async with connection() as taken:
        [found] = await files.page(taken, thread_id=stored.thread_id, account_id=account_id, limit=10, offset=0)
    assert (found.file_id, found.stored) == (stored.file_id, True)


async def test_a_bucket_out_of_reach_delays_removals_and_loses_none(
    database: Database, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _inserted(file)
    await objects.put(file.object_key, b"hello", content_type="text/plain")
    client = await s3()

    async def fails(**_: object) -> None:
        raise OSError("no route")

    with monkeypatch.context() as broken:
        broken.setattr(client, "delete_objects", fails)
        broken.setattr(client, "head_object", fails)
        await service.delete(account_id=file.account_id, thread_id=file.thread_id, file_id=file.file_id)
        with pytest.raises(FilesUnavailableError):
            await objects.head(file.object_key)
    assert await _removals(database) == [file.object_key]
    await remove_objects()
    assert await objects.head(file.object_key) is None


async def test_files_of_one_thread_are_bounded_also_when_announced_at_once(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    await database.connection.execute("UPDATE plans SET max_thread_files = 2")
    asked = (service.announce(_file(account_id, thread_id=thread_id)) for _ in range(5))
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, ConflictError) for one in done].count(True) == 3, done
    assert await database.count("files") == 2


def test_an_object_is_named_by_nothing_of_the_clients() -> None:
    keys = [_file(account_id, name="../../x").object_key for account_id in ("../../a", "a/b", "ü" * 3000)]
    for key in keys:
        parts = key.split("/")
        assert [parts[0], parts[2], parts[4], len(parts)] == ["accounts", "threads", "files", 6]
        assert key.isascii()
        assert len(key) < 200
    assert len({key.split("/")[1] for key in keys}) == len(keys)


async def test_a_file_is_checked_against_the_plan_of_whoever_has_none_yet(database: Database) -> None:
    await service.check(_file("nobody yet"))
    with pytest.raises(InvalidRequestError, match="content_type"):
        await service.check(_file("nobody yet", content_type="text/html"))
