"""A synthesized CloudFormation template, asked by what the constructs are called."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """`body` is the template as parsed JSON."""

    body: Json

    @property
    def resources(self) -> dict[str, Json]:
        """Resources by logical id."""
        return self.body["Resources"]

    def of_type(self, resource_type: str) -> dict[str, Json]:
        """Properties by logical id of all resources of a type."""
        return {key: value["Properties"] for key, value in self.resources.items() if value["Type"] == resource_type}

    def one(self, resource_type: str, path: str = "") -> Json:
        """Properties of the only resource of a type whose construct path holds `path`."""
        found = [
            value["Properties"]
            for key, value in self.resources.items()
            if value["Type"] == resource_type and path in self.path_of(key)
        ]
        assert len(found) == 1, f"{len(found)} resources of type {resource_type} at {path!r}"
        return found[0]

    def path_of(self, logical_id: str) -> str:
        """Construct path of a resource, without the stack's name."""
        return self.resources[logical_id]["Metadata"]["aws:cdk:path"].partition("/")[2]

    def logical_id(self, resource_type: str, path: str) -> str:
        """Logical id of the only resource of a type whose construct path starts with `path`."""
        found = [
            key
            for key, value in self.resources.items()
            if value["Type"] == resource_type and self.path_of(key).startswith(path)
        ]
        assert len(found) == 1, f"{found} of type {resource_type} at {path!r}"
        return found[0]

    def function(self, name: str) -> Json:
        """Properties of a Lambda function by its construct id."""
        return self.one("AWS::Lambda::Function", f"Functions/{name}/Function/")

    def queue(self, name: str) -> Json:
        """Properties of a queue by its construct id."""
        return self.one("AWS::SQS::Queue", f"Queues/{name}/")

    def event_sources(self) -> dict[str, Json]:
        """Event source mappings by the construct id of their queue."""
        queues = {key: self.path_of(key).split("/")[1] for key in self.of_type("AWS::SQS::Queue")}
        return {
            queues[source["EventSourceArn"]["Fn::GetAtt"][0]]: source
            for source in self.of_type("AWS::Lambda::EventSourceMapping").values()
        }

    def statements(self) -> Iterator[tuple[str, Json]]:
        """Every allowing statement of every role's policies: construct path of the policy and the statement."""
        for key, value in self.resources.items():
            properties = value.get("Properties", {})
            documents: list[Json] = []
            if value["Type"] == "AWS::IAM::Policy":
                documents.append(properties["PolicyDocument"])
            if value["Type"] == "AWS::IAM::Role":
                documents.extend(policy["PolicyDocument"] for policy in properties.get("Policies", []))
            for document in documents:
                for statement in document["Statement"]:
                    if statement["Effect"] == "Allow":
                        yield self.path_of(key), statement

    def workflow(self) -> Json:
        """The state machine's definition, parsed; references stand as `<logical id>`."""
        parts = self.one("AWS::StepFunctions::StateMachine")["DefinitionString"]["Fn::Join"][1]
        return json.loads("".join(part if isinstance(part, str) else _name(part) for part in parts))


def _name(reference: Json) -> str:
    target = reference.get("Ref") or reference["Fn::GetAtt"][0]
    return f"<{target}>"


def as_list(value: object) -> list[Any]:
    """A policy's action or resource as a list: IAM allows a single one bare."""
    return value if isinstance(value, list) else [value]
