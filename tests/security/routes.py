"""Every route, from the application's own: one that is added is covered by itself, or fails by name."""

import json
import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from functions.api.http.identity import scope_of
from tests.e2e.conftest import RunningStack
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run
from tests.security.credentials import Secrets
from tests.security.surface import PUBLIC, Json, all_served

_SAID = {"role": "user", "content": "[[say hi]]"}
_RUN = {"assistant_id": "agent", "input": {"messages": [_SAID]}}
_FILE = {"name": "a.txt", "content_type": "text/plain", "size": 1}
# Valid requests where the smallest that the description allows is none.
BODIES: dict[str, Json] = {
    "/threads/{thread_id}/commands": {
        "id": 1,
        "method": "run.cancel",
        "params": {"run_id": "{run_id}"},
    },
    "/threads/{thread_id}/files": _FILE,
    "/threads/{thread_id}/messages": _SAID,
    "/threads/{thread_id}/runs": _RUN,
    "/threads/{thread_id}/runs/stream": _RUN,
    "/threads/{thread_id}/runs/wait": _RUN,
}

# What a command needs to be one, by its name; a command that is added has to be added here.
COMMAND_PARAMS: dict[str, Json] = {
    "input.respond": {"interrupt_id": "x", "response": True},
    "ping": {},
    "run.cancel": {"run_id": "{run_id}"},
    "run.start": {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "[[say hi]]"}]}},
    "state.get": {},
    "subscription.subscribe": {"channels": ["messages", "values", "lifecycle"], "since": 0},
    "subscription.unsubscribe": {"subscription_id": "x"},
}


@dataclass(frozen=True)
class Property:
    """What an account has: values for the parameters of paths, and its credentials."""

    account_id: str
    headers: dict[str, str]
    reading: dict[str, str]
    values: dict[str, str] = field(default_factory=dict[str, str])

    def params(self, of: Json) -> Json:
        """A command's, for these things."""
        return {name: value.format(**self.values) if isinstance(value, str) else value for name, value in of.items()}

    async def snapshot(self, http: httpx.AsyncClient) -> list[Any]:
        """All of it, as its owner sees it."""
        thread, assistant = self.values["thread_id"], self.values["assistant_id"]
        paths = (
            f"/threads/{thread}",
            f"/threads/{thread}/state",
            f"/threads/{thread}/messages",
            f"/threads/{thread}/runs",
            f"/threads/{thread}/files",
            f"/assistants/{assistant}",
        )
        answers = [await http.get(path, headers=self.headers) for path in paths]
        assert all(answer.status_code == 200 for answer in answers), answers
        keys = (await http.get("/api-keys", headers=self.headers)).json()
        return [answer.json() for answer in answers] + [{key["key_id"] for key in keys}]


async def property_of(
    stack: RunningStack,
    secrets: Secrets,
    account_id: str | None = None,
    *,
    thread_id: str | None = None,
    said: str = "this is private",
) -> Property:
    """Of each kind of thing one, of this account or one of its own, on this thread or a new one."""
    account_id = account_id or str(uuid.uuid4())
    token = stack.token(account_id, jti=str(uuid.uuid4()))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=60) as http:
        thread_id = thread_id or await new_thread(http)
        run = await start_run(http, thread_id, f"[[say {said}]]")
        await ended_run(http, run)
        state = (await http.get(f"/threads/{thread_id}/state")).json()
        file = (await http.post(f"/threads/{thread_id}/files", json=_FILE)).json()
        assistant_id = await new_assistant(http, model="openai/scripted")
        key = (await http.post("/api-keys", json={"name": "reader", "scopes": ["read"]})).json()
    secrets.add(token, key["secret"], stack.fields["jwt_secret"])
    values = {
        "thread_id": thread_id,
        "run_id": run["run_id"],
        "agent_run_id": run["run_id"],
        "assistant_id": assistant_id,
        "agent_id": assistant_id,
        "key_id": key["key_id"],
        "file_id": file["file_id"],
        "checkpoint_id": state["checkpoint"]["checkpoint_id"],
        "cron_id": str(uuid.uuid4()),
        "namespace": "x",
    }
    return Property(account_id, headers, {"x-api-key": key["secret"]}, values)


@dataclass(frozen=True)
class Route:
    """A method and a path with names in it."""

    method: str
    path: str
    body: Json | None = field(default=None, hash=False)
    is_form: bool = False
    is_built: bool = True

    @property
    def kind(self) -> str:
        """Among what it counts."""
        return "routes" if self.is_built else "not_built"

    @property
    def names(self) -> list[str]:
        """The parameters of its path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def is_writing(self) -> bool:
        """Whether a credential that may only read is refused."""
        return scope_of(self.method, self.path) == "write"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def named(self, values: dict[str, str]) -> list[str]:
        """The values that its request names."""
        return [values[name] for name in values if f"{{{name}}}" in self.path + json.dumps(self.body)]

    def request(self, values: dict[str, str]) -> dict[str, Any]:
        """Arguments of ``httpx.request``: a valid request for these things."""
        path = self.path.format(**{name: values[name] for name in self.names})
        body = json.loads(json.dumps(self.body).replace("{run_id}", values["run_id"]))
        content: dict[str, Any] = {"files": {"prompt": (None, "[[say hi]]")}} if self.is_form else {"json": body}
        return {"method": self.method, "url": path, **(content if self.body is not None else {})}


@cache
def routes() -> tuple[Route, ...]:
    """All that ask who somebody is, with the smallest body that is valid."""
    return tuple(
        Route(
            one.method,
            one.path,
            BODIES.get(one.path) or (None if one.body is None else smallest(one.body)),
            is_form=one.is_form,
            is_built=one.is_built,
        )
        for one in all_served()
        if str(one) not in PUBLIC
    )


def smallest(schema: Json, of: Json | None = None) -> Any:
    """The least that ``schema`` allows, a part of ``of``, without what may be left out."""
    of = of or schema
    if "$ref" in schema:
        return smallest(of["$defs"][schema["$ref"].rsplit("/", 1)[1]], of)
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0], of)
    named = schema.get("properties", {})
    by_type = {
        "object": {name: smallest(named[name], of) for name in schema.get("required", [])},
        "array": [smallest(schema["items"], of)] * schema.get("minItems", 0) if "items" in schema else [],
        "string": str(uuid.uuid4()) if schema.get("format") == "uuid" else "x" * max(1, schema.get("minLength", 1)),
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1),
        "boolean": False,
    }
    return schema.get("const") or next(iter(schema.get("enum", [])), by_type.get(schema.get("type", ""), {}))
