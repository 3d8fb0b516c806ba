"""Questions and orders to a stack that runs already: is it healthy, update it, end it."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from suna_localstack.services.ports import is_open
from suna_localstack.up import synthesis
from suna_localstack.up.deployment import Deployment, replace_provider_secret, template_hash
from suna_localstack.up.errors import StackError
from suna_localstack.up.files import read_json, write_json
from suna_localstack.up.folders import Folders
from suna_localstack.up.parameters import changed_variables, given_values, provider_values
from suna_localstack.up.processes import end_leftovers, running, supervisor
from suna_localstack.up.provider import Provider, renewed
from suna_localstack.up.surroundings import check_same_servers, child_environment, servers_environment, settings

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


@dataclass(frozen=True)
class Change:
    """What another start makes of a running stack: the template's parameters, and what is said of it."""

    provider: Provider
    values: dict[str, str]
    words: list[str]
    has_other_variables: bool


def change(given: Mapping[str, str], stack: Mapping[str, Any], values: Mapping[str, str]) -> Change:
    """What ``given`` makes of the ``stack`` with the parameters ``values``; where it says nothing all stays.

    Raises:
        StackError: the stack cannot be given it.
    """
    check_same_servers(given, stack)
    before = Provider(values["DefaultModel"], json.loads(values["ProviderSecret"]))
    provider = renewed(before, given, stack["model_url"])
    words: list[str] = []
    if provider.model != before.model:
        words.append(f"its model is now {provider.model}")
    if provider.variables != before.variables:
        words.append("its provider's variables are updated")
    wanted = {**values, **provider_values(provider), **given_values(given)}
    words += [f"its {name} is updated" for name in changed_variables(values, wanted)]
    return Change(provider, wanted, words, provider.variables != before.variables)


def kept(environment: Mapping[str, str], started_with: Mapping[str, str]) -> list[str]:
    """What is said of the variables that the servers keep as they were at their start."""
    names = [name for name, value in servers_environment(environment).items() if started_with.get(name) != value]
    return [f"with {' and '.join(names)} as it was started (`make down` first, to change that)"] if names else []


def bring_up_to_date(folders: Folders, stack: dict[str, Any]) -> list[str]:
    """Give the running stack what has changed since its start: infrastructure, and what the user has said.

    Returns:
        What was changed, and what was not, in words.

    Raises:
        StackError: it cannot be given what the user asks for, or the synth or the update failed.
    """
    given = settings(folders)
    values = read_json(folders.parameters_file)
    if values is None:
        raise StackError(f"{folders.parameters_file} is missing: `make down`, then `make up`")
    changed = change(given, stack, values)
    asyncio.run(synthesis.synthesize(folders, env=child_environment(), log=folders.log("synth")))
    current = template_hash(folders.template)
    words = ["its infrastructure is updated"] if current != stack["template_hash"] else []
    words += changed.words
    if words:
        deployed = Deployment(stack["aws_endpoint_url"]).deploy(folders.template, changed.values)
        if changed.has_other_variables:
            replace_provider_secret(stack["aws_endpoint_url"], deployed.outputs, changed.values["ProviderSecret"])
        write_json(folders.parameters_file, changed.values)
        stack.update(template_hash=current, outputs=deployed.outputs, model=changed.provider.model)
        write_json(folders.stack_file, stack)
    started_with = read_json(folders.environment_file)
    return words + ([] if started_with is None else kept(os.environ, started_with))


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
