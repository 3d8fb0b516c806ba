"""What a stage costs a month when nobody uses it, computed from its template and a dated price file.

`python -m infra.cost [STAGE...]` prints a table of each stage; its last line is JSON. Requests, tokens, logs and
traffic come on top: everything that is billed by use is zero here.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.app import build, new_app
from infra.stages import STAGES

PRICES = Path(__file__).with_name("prices.json")

POLLERS_PER_SOURCE = 5
POLL_S = 20
"""An event source keeps five long polls of 20 s open (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS")."""

LEAST_PROXY_ACU = 8
LEAST_VALKEY_GB = 0.1
EMPTY_DATABASE_GB = 1
FREE_TYPES = frozenset(
    {
        "AWS::ApiGatewayV2::",
        "AWS::CloudFront::",
        "AWS::Cognito::",
        "AWS::DynamoDB::GlobalTable",
        "AWS::EC2::FlowLog",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::Subnet",
        "AWS::EC2::VPC",
        # To put a message on a queue on a schedule costs nothing.
        "AWS::Events::Rule",
        "AWS::IAM::",
        "AWS::Lambda::",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBProxyTargetGroup",
        "AWS::RDS::DBSubnetGroup",
        "AWS::S3::",
        "AWS::SQS::",
        "AWS::SecretsManager::SecretTargetAttachment",
        "AWS::StepFunctions::StateMachine",
        "Custom::Catalogue",
        "Custom::Migration",
        "Custom::Page",
    }
)
"""Prefixes of types that cost nothing while idle, or whose cost is another line's."""


PRICED_TYPES = frozenset(
    {
        "AWS::CloudWatch::Alarm",
        "AWS::EC2::EIP",
        "AWS::EC2::NatGateway",
        "AWS::EC2::VPCEndpoint",
        "AWS::ElastiCache::ServerlessCache",
        "AWS::KMS::Key",
        "AWS::RDS::DBInstance",
        "AWS::RDS::DBProxy",
        "AWS::SecretsManager::Secret",
    }
)
"""Types that `idle_cost` has a line for."""


class UnpricedError(Exception):
    """A template has a resource type that this module does not know the idle cost of."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the bill: `quantity` units at `usd_each` a month."""

    item: str
    quantity: float
    unit: str
    usd_each: float

    @property
    def usd(self) -> float:
        """Cost a month."""
        return self.quantity * self.usd_each


def idle_cost(template: Mapping[str, Any], price_file: Mapping[str, Any]) -> list[Line]:
    """Lines of a template's idle month, largest first.

    template: a CloudFormation template. price_file: as `prices.json`.
    Raises `UnpricedError` for a resource type that is neither priced here nor known to be free.
    """
    usd = {name: price["usd"] for name, price in price_file["prices"].items()}
    hours = price_file["hours_per_month"]
    resources = list(template["Resources"].values())
    lines = [
        Line(item="NAT gateways", quantity=_count(resources, "AWS::EC2::NatGateway"), unit="gateway",
             usd_each=usd["nat_gateway_hour"] * hours),
        Line(item="Public IPv4 addresses", quantity=_count(resources, "AWS::EC2::EIP"), unit="address",
             usd_each=usd["public_ipv4_hour"] * hours),
        Line(item="Aurora, minimum capacity", quantity=_acu(resources), unit="ACU",
             usd_each=usd["aurora_acu_hour"] * hours),
        Line(item="Aurora, storage of an empty database", unit="GB",
             quantity=EMPTY_DATABASE_GB * _count(resources, "AWS::RDS::DBCluster"),
             usd_each=usd["aurora_storage_gb_month"]),
        Line(item="RDS Proxy", unit="ACU",
             quantity=_count(resources, "AWS::RDS::DBProxy") * max(LEAST_PROXY_ACU, _acu(resources)),
             usd_each=usd["rds_proxy_acu_hour"] * hours),
        Line(item="ElastiCache Serverless, minimum", unit="GB",
             quantity=LEAST_VALKEY_GB * _count(resources, "AWS::ElastiCache::ServerlessCache"),
             usd_each=usd["elasticache_valkey_gb_hour"] * hours),
        Line(item="Secrets", quantity=_count(resources, "AWS::SecretsManager::Secret"), unit="secret",
             usd_each=usd["secret_month"]),
        Line(item="SQS, polls of the event sources", unit="million requests",
             quantity=_count(resources, "AWS::Lambda::EventSourceMapping") * _polls(hours) / 1e6,
             usd_each=usd["sqs_million_requests"]),
        Line(item="SnapStart, cached snapshots", quantity=_snapshots_gb(resources), unit="GB",
             usd_each=usd["snapstart_cache_gb_second"] * hours * 3600),
        Line(item="CloudWatch alarms", quantity=_count(resources, "AWS::CloudWatch::Alarm"), unit="alarm",
             usd_each=usd["alarm_month"]),
        Line(item="Interface endpoints", quantity=_interface_endpoints(resources), unit="endpoint and zone",
             usd_each=usd["interface_endpoint_hour"] * hours),
        Line(item="KMS keys", quantity=_count(resources, "AWS::KMS::Key"), unit="key",
             usd_each=usd["kms_key_month"]),
    ]  # fmt: skip
    _refuse_unknown(resources)
    return sorted((line for line in lines if line.quantity), key=lambda line: -line.usd)


def _count(resources: Iterable[Mapping[str, Any]], resource_type: str) -> int:
    return sum(resource["Type"] == resource_type for resource in resources)


def _acu(resources: list[Mapping[str, Any]]) -> float:
    """Least capacity of all instances; a cluster whose minimum is 0 pauses and costs nothing."""
    least = sum(
        resource["Properties"]["ServerlessV2ScalingConfiguration"]["MinCapacity"]
        for resource in resources
        if resource["Type"] == "AWS::RDS::DBCluster"
    )
    return least * _count(resources, "AWS::RDS::DBInstance")


def _snapshots_gb(resources: Iterable[Mapping[str, Any]]) -> float:
    return sum(
        resource["Properties"]["MemorySize"] / 1024
        for resource in resources
        if resource["Type"] == "AWS::Lambda::Function" and "SnapStart" in resource["Properties"]
    )


def _interface_endpoints(resources: Iterable[Mapping[str, Any]]) -> int:
    return sum(
        len(resource["Properties"].get("SubnetIds", []))
        for resource in resources
        if resource["Type"] == "AWS::EC2::VPCEndpoint" and resource["Properties"]["VpcEndpointType"] == "Interface"
    )


def _polls(hours: float) -> float:
    return POLLERS_PER_SOURCE * hours * 3600 / POLL_S


def _refuse_unknown(resources: Iterable[Mapping[str, Any]]) -> None:
    unknown = {
        resource["Type"]
        for resource in resources
        if resource["Type"] not in PRICED_TYPES
        and not any(resource["Type"].startswith(prefix) for prefix in FREE_TYPES)
    }
    if unknown:
        raise UnpricedError(f"no idle cost is known for {', '.join(sorted(unknown))}")


def synthesized_template(stage: str) -> dict[str, Any]:
    """The template of a stage, synthesized now."""
    with tempfile.TemporaryDirectory() as outdir:
        app = new_app(stage=stage, outdir=Path(outdir))
        stack = build(app)
        app.synth()
        return json.loads((Path(outdir) / stack.template_file).read_text(encoding="utf-8"))


def main(names: Collection[str]) -> int:
    """Print the table of the stages in the cloud of these names, or of all."""
    prices = json.loads(PRICES.read_text(encoding="utf-8"))
    totals: dict[str, float] = {}
    for name, stage in STAGES.items():
        if stage.cloud is None or (names and name not in names):
            continue
        lines = idle_cost(synthesized_template(name), prices)
        totals[name] = round(sum(line.usd for line in lines), 2)
        sys.stdout.write(f"\nStage {name}: idle month, {prices['region']}, list prices of {prices['as_of']}\n")
        for line in lines:
            sys.stdout.write(f"{line.item:38} {line.quantity:8.2f} {line.unit:18} {line.usd:9.2f} USD\n")
        sys.stdout.write(f"{'Total':38} {'':27} {totals[name]:9.2f} USD\n")
    sys.stdout.write("\n" + json.dumps({"as_of": prices["as_of"], "idle_usd_month": totals}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
