"""Files: uploaded and downloaded by the client itself, seen by the model, gone with their thread."""

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from clients.terminal.stack import Stack
from tests.e2e.conftest import RunningStack, give_plan
from tests.e2e.following import command, events_of_run, subscribed
from tests.e2e.threads import ended_run, new_thread, start_run, stored_messages

# The smallest PNG there is: one transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NAME = "Übersicht, \u65e5\u672c (1).txt"


@pytest.fixture
async def outside() -> AsyncGenerator[httpx.AsyncClient]:
    """A client without any credential."""
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def announce(http: httpx.AsyncClient, thread_id: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """A file that is about to be uploaded."""
    body = {"name": "notes.txt", "content_type": "text/plain", "size": len(content)} | fields
    answer = await http.post(f"/threads/{thread_id}/files", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(outside: httpx.AsyncClient, upload: dict[str, Any], content: bytes, **fields: str) -> httpx.Response:
    """Upload as a browser's form does."""
    return await outside.post(upload["url"], data=upload["fields"] | fields, files={"file": ("any", content)})


async def uploaded(
    http: httpx.AsyncClient, outside: httpx.AsyncClient, thread_id: str, content: bytes, **fields: Any
) -> dict[str, Any]:
    """A file that is there."""
    file = await announce(http, thread_id, content, **fields)
    sent = await send(outside, file["upload"], content)
    assert sent.status_code == 204, sent.text
    return file


def objects(stack: RunningStack, mark: str) -> list[str]:
    """Names of the objects whose names hold ``mark``."""
    pages = stack.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=stack.fields["outputs"]["FilesBucket"])
    return [item["Key"] for page in pages for item in page.get("Contents", []) if mark in item["Key"]]


async def model_calls(stack: RunningStack, mark: str) -> list[dict[str, Any]]:
    """The requests that the model has got."""
    async with httpx.AsyncClient(base_url=stack.fields["model_url"]) as model:
        return (await model.get("/calls", params={"contains": mark})).json()["calls"]


async def test_a_file_is_uploaded_listed_downloaded_and_deleted(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    file = await announce(http, thread_id, b"hello", name=NAME)
    path = f"/threads/{thread_id}/files/{file['file_id']}"
    assert (file["status"], file["upload"]["method"]) == ("pending", "POST")
    assert (await http.get(path)).json()["download"] is None

    assert (await send(outside, file["upload"], b"hello")).status_code == 204
    listed = (await http.get(f"/threads/{thread_id}/files")).json()
    assert [(one["file_id"], one["name"], one["size"], one["status"]) for one in listed] == [
        (file["file_id"], NAME, 5, "stored")
    ]
    shown = (await http.get(path)).json()
    content = await outside.get(shown["download"]["url"])
    assert (content.status_code, content.content) == (200, b"hello")
    assert content.headers["content-disposition"] == f"attachment; filename*=UTF-8''{quote(NAME, safe='')}"
    [key] = objects(stack, file["file_id"])
    assert key.startswith("accounts/")
    assert key.endswith(f"/threads/{thread_id}/files/{file['file_id']}")

    assert (await http.delete(path)).status_code == 204
    assert [(await http.get(path)).status_code, (await http.delete(path)).status_code] == [404, 404]
    assert objects(stack, file["file_id"]) == []
    assert (await outside.get(shown["download"]["url"])).status_code == 404


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b"hello!", {}),
        (b"hell", {}),
        (b"hello", {"Content-Type": "text/html"}),
        (b"hello", {"key": "accounts/another/threads/1/files/2"}),
    ],
    ids=["larger", "smaller", "of another type", "under another name"],
)
async def test_what_was_not_announced_is_refused_by_the_bucket(
    stack: RunningStack,
    http: httpx.AsyncClient,
    outside: httpx.AsyncClient,
    content: bytes,
    fields: dict[str, str],
) -> None:
    thread_id = await new_thread(http)
    file = await announce(http, thread_id, b"hello")

    refused = await send(outside, file["upload"], content, **fields)

    assert refused.status_code in {400, 403}, refused.text
    assert objects(stack, file["file_id"]) == objects(stack, "accounts/another") == []
    [listed] = (await http.get(f"/threads/{thread_id}/files")).json()
    assert listed["status"] == "pending"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../../secret.txt"},
        {"name": "..\\secret.txt"},
        {"name": ".."},
        {"name": "a/b.txt"},
        {"name": ""},
        {"name": " "},
        {"name": "a\r\nset-cookie: b"},
        {"name": "a\u0000b"},
        {"name": "cod\u202egpj.exe"},
        {"name": "ü" * 128},
        {"size": 0},
        {"size": -1},
        {"size": 25 * 1024 * 1024 + 1},
        {"size": 2**70},
        {"content_type": "text/html"},
        {"content_type": "image/svg+xml"},
        {"content_type": "text/plain\r\nx: y"},
        {"content_type": ""},
    ],
    ids=str,
)
async def test_a_file_that_cannot_be_is_not_announced(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    thread_id = await new_thread(http)
    body = {"name": "a.txt", "content_type": "text/plain", "size": 5} | fields

    answer = await http.post(f"/threads/{thread_id}/files", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_argument"), answer.text
    assert (await http.get(f"/threads/{thread_id}/files")).json() == []


async def test_what_the_plan_allows_is_data(stack: RunningStack, http: httpx.AsyncClient, account_id: str) -> None:
    thread_id = await new_thread(http)
    await give_plan(stack, account_id, max_file_bytes=4, max_thread_files=1, file_types=["text/csv"])

    async def ask(**fields: Any) -> tuple[int, Any]:
        body = {"name": "a.csv", "content_type": "text/csv", "size": 4} | fields
        answer = await http.post(f"/threads/{thread_id}/files", json=body)
        return answer.status_code, answer.json().get("detail")

    assert await ask(size=5) == (422, {"max_file_bytes": 4})
    assert await ask(content_type="text/plain") == (422, {"file_types": ["text/csv"]})
    assert (await ask())[0] == 201
    assert await ask() == (409, {"limit": "max_thread_files", "max_thread_files": 1})


async def test_another_accounts_files_are_not_there(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    file = await uploaded(http, outside, thread_id, b"secret")
    headers = {"authorization": f"Bearer {stack.token(str(uuid4()))}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30) as stranger:
        own = await new_thread(stranger)
        body = {"name": "a.txt", "content_type": "text/plain", "size": 1}
        block = {"type": "file", "file_id": file["file_id"]}
        run = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": [block]}]}}
        asked = [
            await stranger.get(f"/threads/{thread_id}/files"),
            await stranger.post(f"/threads/{thread_id}/files", json=body),
            await stranger.get(f"/threads/{thread_id}/files/{file['file_id']}"),
            await stranger.get(f"/threads/{own}/files/{file['file_id']}"),
            await stranger.delete(f"/threads/{thread_id}/files/{file['file_id']}"),
            await stranger.delete(f"/threads/{own}/files/{file['file_id']}"),
            await stranger.post(f"/threads/{own}/runs", json=run),
            await stranger.post(f"/threads/{own}/messages", json=run["input"]["messages"][0]),
        ]
        assert [answer.status_code for answer in asked] == [404] * len(asked)
        assert (await stranger.get(f"/threads/{own}/runs")).json() == []
    assert len(objects(stack, file["file_id"])) == 1


async def test_the_model_is_shown_an_image_and_the_text_of_a_file(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    mark = f"mark-{uuid4()}"
    image = await uploaded(http, outside, thread_id, PNG, name="pixel.png", content_type="image/png")
    text = await uploaded(http, outside, thread_id, f"{mark} in a file: ünïcode".encode(), name="notes.md")
    content = [
        {"type": "text", "text": "what is this?"},
        {"type": "image", "file_id": image["file_id"]},
        {"type": "file", "file": {"file_id": text["file_id"]}},
    ]
    run = await start_run(http, thread_id, None, input={"messages": [{"role": "user", "content": content}]})
    assert (await ended_run(http, run))["status"] == "success"

    [call] = await model_calls(stack, mark)
    [asked] = [message for message in call["body"]["messages"] if message["role"] == "user"]
    question, shown, said = asked["content"]
    assert question == {"type": "text", "text": "what is this?"}
    assert shown == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"},
    }
    assert f"{mark} in a file: ünïcode" in said["text"]
    assert "notes.md" in said["text"]
    # What is kept is small: the image itself is not among the messages.
    assert base64.b64encode(PNG).decode() not in json.dumps(await stored_messages(http, thread_id))

    # What was read of a file stays said; an image that is deleted is named.
    for file in (image, text):
        assert (await http.delete(f"/threads/{thread_id}/files/{file['file_id']}")).status_code == 204
    again = await start_run(http, thread_id, "and now?")
    assert (await ended_run(http, again))["status"] == "success"
    [_, later] = sorted(await model_calls(stack, mark), key=lambda one: one["number"])
    [_, shown, said] = later["body"]["messages"][-3]["content"]
    assert shown["type"] == "text"
    assert "'pixel.png'" in shown["text"]
    assert "deleted" in shown["text"]
    assert mark in said["text"]


async def test_a_run_with_a_file_is_started_over_the_websocket(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient, client: Stack
) -> None:
    thread_id = await new_thread(http)
    mark = f"mark-{uuid4()}"
    file = await uploaded(http, outside, thread_id, mark.encode())
    blocks = [{"type": "text", "text": "read this"}, {"type": "file", "file_id": file["file_id"]}]
    params = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": blocks}]}}
    async with subscribed(client, thread_id) as socket:
        assert (await command(socket, "run.start", params))["type"] == "success"
        assert (await events_of_run(socket))[-1]["params"]["data"]["event"] == "completed"
    assert len(await model_calls(stack, mark)) == 1


async def test_what_is_no_image_is_not_shown_as_one(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    mark = f"mark-{uuid4()}"
    file = await uploaded(http, outside, thread_id, b"<script>", name="pixel.png", content_type="image/png")
    content = [{"type": "text", "text": mark}, {"type": "image", "file_id": file["file_id"]}]
    run = await start_run(http, thread_id, None, input={"messages": [{"role": "user", "content": content}]})
    assert (await ended_run(http, run))["status"] == "success"
    [call] = await model_calls(stack, mark)
    assert "it is no image/png" in json.dumps(call["body"]["messages"])
    assert "image_url" not in json.dumps(call["body"]["messages"])


@pytest.mark.parametrize(
    ("content", "sent", "problem"),
    [(b"hello", False, "not uploaded"), (b"\xff\xfe\x00", True, "not UTF-8 text"), (b"a\0b", True, "not UTF-8 text")],
    ids=["pending", "no UTF-8", "with U+0000"],
)
async def test_a_file_that_cannot_be_used_starts_no_run(
    http: httpx.AsyncClient, outside: httpx.AsyncClient, content: bytes, sent: bool, problem: str
) -> None:
    thread_id = await new_thread(http)
    file = await (uploaded(http, outside, thread_id, content) if sent else announce(http, thread_id, content))
    message = {"role": "user", "content": [{"type": "file", "file_id": file["file_id"]}]}
    run = {"assistant_id": "agent", "input": {"messages": [message]}}
    for path, body in (("runs", run), ("messages", message), ("state", {"values": {"messages": [message]}})):
        refused = await http.post(f"/threads/{thread_id}/{path}", json=body)
        assert refused.status_code == 422, refused.text
        assert problem in refused.json()["message"]
    assert await stored_messages(http, thread_id) == []


async def test_a_deleted_thread_leaves_no_objects(
    stack: RunningStack, http: httpx.AsyncClient, outside: httpx.AsyncClient
) -> None:
    thread_id = await new_thread(http)
    for name in ("a.txt", "b.txt"):
        await uploaded(http, outside, thread_id, b"hello", name=name)
    assert len(objects(stack, thread_id)) == 2
    assert (await http.delete(f"/threads/{thread_id}")).status_code == 204
    assert objects(stack, thread_id) == []


async def test_an_agent_is_initiated_with_files(stack: RunningStack, http: httpx.AsyncClient) -> None:
    mark = f"mark-{uuid4()}"
    answer = await http.post(
        "/api/agent/initiate",
        data={"prompt": f"read these [[say {mark}]]"},
        files=[
            ("files", ("pixel.png", PNG, "image/png")),
            ("files", ("table.csv", b"a,b\n1,2\n", "application/octet-stream")),
        ],
    )
    assert answer.status_code == 200, answer.text
    thread_id, run_id = answer.json()["thread_id"], answer.json()["agent_run_id"]
    assert (await ended_run(http, {"thread_id": thread_id, "run_id": run_id}))["status"] == "success"
    [call] = await model_calls(stack, mark)
    said = json.dumps(call["body"]["messages"])
    assert base64.b64encode(PNG).decode() in said
    assert "a,b\\n1,2" in said
    listed = (await http.get(f"/threads/{thread_id}/files")).json()
    assert {(one["name"], one["content_type"], one["status"]) for one in listed} == {
        ("pixel.png", "image/png", "stored"),
        ("table.csv", "text/csv", "stored"),
    }


async def test_a_form_with_a_file_that_cannot_be_leaves_nothing(http: httpx.AsyncClient) -> None:
    for name, content_type in (("../x.txt", "text/plain"), ("x.exe", "application/x-msdownload"), ("x", "")):
        answer = await http.post(
            "/api/agent/initiate", data={"prompt": "hi"}, files=[("files", (name, b"x", content_type))]
        )
        assert answer.status_code == 422, (name, answer.text)
    assert (await http.post("/threads/count", json={})).json() == 0
