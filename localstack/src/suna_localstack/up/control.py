"""Questions and orders to a stack that runs already: is it healthy, update it, end it."""

import asyncio
import time
from typing import Any

import psutil

from suna_localstack.services.ports import is_open
from suna_localstack.up import synthesis
from suna_localstack.up.deployment import Deployment, template_hash
from suna_localstack.up.errors import StackError
from suna_localstack.up.files import read_json, write_json
from suna_localstack.up.folders import Folders
from suna_localstack.up.processes import end_leftovers, running, supervisor
from suna_localstack.up.surroundings import child_environment

_DOWN_TIMEOUT_S = 45


def problems(stack: dict[str, Any]) -> list[str]:
    """What of the stack does not run or listen."""
    found = [
        f"{part['name']} does not answer on port {part['port']}"
        for part in stack["processes"]
        if running(part) is None or not is_open(part["port"])
    ]
    port = int(stack["base_url"].rsplit(":", 1)[1])
    if not is_open(port):
        found.append(f"the gateway does not answer on port {port}")
    return found


def running_stack(folders: Folders) -> dict[str, Any] | None:
    """The healthy stack of these folders; None if there is none.

    Raises:
        StackError: one is starting or broken.
    """
    owner = supervisor(folders)
    if owner is None:
        return None
    stack = read_json(folders.stack_file)
    if stack is None:
        raise StackError(f"the stack is just starting (pid {owner.pid}): wait for it, or end it with `make down`")
    broken = problems(stack)
    if broken:
        raise StackError(f"the stack is running but broken ({'; '.join(broken)}): `make down`, then `make up`")
    return stack


def redeploy_if_changed(folders: Folders, stack: dict[str, Any]) -> bool:
    """Synthesize and update the running stack if its infrastructure code has changed; returns whether it had.

    Raises:
        StackError: the synth or the update failed.
    """
    if not synthesis.is_needed(folders) and template_hash(folders.template) == stack["template_hash"]:
        return False
    asyncio.run(synthesis.synthesize(folders, env=child_environment(), log=folders.log("synth")))
    current = template_hash(folders.template)
    if current == stack["template_hash"]:
        return False
    values = read_json(folders.parameters_file)
    if values is None:
        raise StackError(f"{folders.parameters_file} is missing: `make down`, then `make up`")
    deployed = Deployment(stack["aws_endpoint_url"]).deploy(folders.template, values)
    stack.update(template_hash=current, outputs=deployed.outputs)
    write_json(folders.stack_file, stack)
    return True


def down(folders: Folders) -> str:
    """End the stack; returns what was done, in one line.

    Raises:
        StackError: something does not end.
    """
    owner = supervisor(folders)
    if owner is not None:
        owner.terminate()
        try:
            owner.wait(_DOWN_TIMEOUT_S)
        except psutil.TimeoutExpired:
            owner.kill()
            owner.wait(5)
    left = end_leftovers(folders)
    deadline = time.monotonic() + 5
    while (again := supervisor(folders)) is not None:
        if time.monotonic() > deadline:
            raise StackError(f"the supervisor (pid {again.pid}) does not end")
        time.sleep(0.1)
    if owner is not None:
        return "the stack is stopped" + (f" ({left} processes had to be ended)" if left else "")
    return f"cleaned up {left} processes of a killed stack" if left else "nothing is running"
