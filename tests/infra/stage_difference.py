"""Compares two stages' templates resource by resource, after giving the same things the same names."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.infra.template import Json, Template


@dataclass(frozen=True, order=True)
class Difference:
    """One difference: `where` is resource type and property path, `only` the side that alone has it (or `both`)."""

    where: str
    path: str
    only: str
    value: str


def differences(left: Template, right: Template) -> list[Difference]:
    """All differences of two templates; logical ids count for nothing, construct paths and properties do."""
    ours, theirs = _normalised(left), _normalised(right)
    found: list[Difference] = []
    for path in sorted(ours.keys() | theirs.keys()):
        if path not in theirs or path not in ours:
            side = ours if path in ours else theirs
            found.append(Difference(side[path]["Type"], path, "left" if side is ours else "right", ""))
        else:
            resource_type = ours[path]["Type"]
            found.extend(
                Difference(f"{resource_type} {where}", path, only, json.dumps(value, sort_keys=True))
                for where, only, value in _compare("", _comparable(ours[path]), _comparable(theirs[path]))
            )
    for section in ("Parameters", "Outputs"):
        names = left.body.get(section, {}).keys() ^ right.body.get(section, {}).keys()
        found.extend(
            Difference(section, name, "left" if name in left.body[section] else "right", "") for name in sorted(names)
        )
    return found


def _comparable(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key != "Metadata"}


def _normalised(template: Template) -> dict[str, Json]:
    """Resources by construct path, with the stage's name, aliases and logical ids taken out."""
    stage = template.function("Http")["Environment"]["Variables"]["STAGE"]
    names: dict[str, str] = {}
    for key in template.resources:
        path = template.path_of(key)
        if "/Live/" in path and template.resources[key]["Type"] != "AWS::Lambda::Alias":
            path = path.replace("/Live/", "/Function/")
        names[key] = _without_stage(path, stage)
    aliases = {
        key: template.logical_id("AWS::Lambda::Function", template.path_of(key).partition("/Live/")[0] + "/Function/")
        for key in template.of_type("AWS::Lambda::Alias")
    }

    database_secret = template.function("Http")["Environment"]["Variables"]["DATABASE_SECRET_ARN"]["Ref"]

    def rename(value: Any) -> Any:
        if isinstance(value, list):
            return [rename(item) for item in value]
        if isinstance(value, str):
            return _without_stage(value, stage)
        if not isinstance(value, dict):
            return value
        alias = _alias_of(value, aliases)
        if alias is not None:
            return {"Function": names[aliases[alias]]}
        target, attribute = (value["Ref"], "Ref") if "Ref" in value else value.get("Fn::GetAtt", (None, None))
        if target not in names:
            return {key: rename(item) for key, item in value.items()}
        is_function = template.resources[target]["Type"] == "AWS::Lambda::Function"
        name = "the database's secret" if target == database_secret else names[target]
        return {"Function" if is_function else attribute: name}

    resources: dict[str, Json] = {
        names[key]: {
            name: sorted(names[item] for item in value) if name == "DependsOn" else rename(value)
            for name, value in resource.items()
        }
        for key, resource in template.resources.items()
    }
    definition = json.dumps(template.workflow())
    for key in template.resources:
        target = aliases.get(key, key)
        definition = definition.replace(f"<{key}>", f"<{names[target]}>")
    machine = names[template.logical_id("AWS::StepFunctions::StateMachine", "Workflow/")]
    resources[machine]["Properties"]["DefinitionString"] = json.loads(definition)
    return resources


def _alias_of(value: Json, aliases: dict[str, str]) -> str | None:
    """The alias that an intrinsic stands for: its ARN (Ref), or `name:alias` cut out of it."""
    if value.get("Ref") in aliases:
        return value["Ref"]
    if "Fn::Join" in value and value["Fn::Join"][1][-1] == ":live":
        selected = value["Fn::Join"][1][0]
        return selected["Fn::Select"][1]["Fn::Split"][1]["Ref"]
    return None


def _without_stage(text: str, stage: str) -> str:
    """Text without the stage's name; event sources' ids end in a hash of a path that holds it."""
    text = text.replace(f"suna-{stage}", "suna").replace(f"suna{stage}", "suna")
    if "SqsEventSource:" in text:
        head, _, tail = text.partition("SqsEventSource:")
        name, _, rest = tail.partition("/")
        return f"{head}SqsEventSource:{name[:-8]}/{rest}"
    return text


def _compare(where: str, left: Any, right: Any) -> Iterator[tuple[str, str, Any]]:
    if left == right:
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            path = f"{where}.{key}" if where else key
            if key not in right:
                yield path, "left", left[key]
            elif key not in left:
                yield path, "right", right[key]
            else:
                yield from _compare(path, left[key], right[key])
    elif isinstance(left, list) and isinstance(right, list):
        yield from ((f"{where}[]", "left", item) for item in left if item not in right)
        yield from ((f"{where}[]", "right", item) for item in right if item not in left)
    else:
        yield where, "both", [left, right]
