"""The idle cost: by hand for small templates, and complete for every stage."""

import json
import re

import pytest

from infra.cost import PRICES, UnpricedError, idle_cost
from tests.infra.conftest import PROJECT
from tests.infra.template import Json, Template

PRICE_FILE: Json = json.loads(PRICES.read_text())


def usd(template: Json) -> dict[str, float]:
    """Cost a month by item."""
    return {line.item: round(line.usd, 2) for line in idle_cost(template, PRICE_FILE)}


def resources(*kinds: tuple[str, Json]) -> Json:
    """A template of resources of those types and properties."""
    return {"Resources": {f"R{i}": {"Type": kind, "Properties": body} for i, (kind, body) in enumerate(kinds)}}


def cluster(least: float) -> tuple[str, Json]:
    """A cluster with that minimum capacity."""
    return "AWS::RDS::DBCluster", {"ServerlessV2ScalingConfiguration": {"MinCapacity": least, "MaxCapacity": 4}}


def test_a_gateway_runs_all_month() -> None:
    assert usd(resources(("AWS::EC2::NatGateway", {}), ("AWS::EC2::NatGateway", {}))) == {"NAT gateways": 65.7}


def test_a_pausing_cluster_costs_its_storage_and_a_running_one_every_instance() -> None:
    pausing = usd(resources(cluster(0), ("AWS::RDS::DBInstance", {})))
    running = usd(resources(cluster(1), ("AWS::RDS::DBInstance", {}), ("AWS::RDS::DBInstance", {})))

    assert pausing == {"Aurora, storage of an empty database": 0.1}
    assert running == {"Aurora, minimum capacity": 175.2, "Aurora, storage of an empty database": 0.1}


def test_a_proxy_is_billed_for_eight_units_at_least() -> None:
    template = resources(cluster(1), ("AWS::RDS::DBInstance", {}), ("AWS::RDS::DBProxy", {}))

    assert usd(template)["RDS Proxy"] == 87.6


def test_snapshots_are_billed_by_the_memory_of_functions_that_have_them() -> None:
    template = resources(
        ("AWS::Lambda::Function", {"MemorySize": 2048, "SnapStart": {"ApplyOn": "PublishedVersions"}}),
        ("AWS::Lambda::Function", {"MemorySize": 2048}),
    )

    assert usd(template) == {"SnapStart, cached snapshots": 7.91}


def test_an_idle_event_source_polls() -> None:
    assert usd(resources(("AWS::Lambda::EventSourceMapping", {}))) == {"SQS, polls of the event sources": 0.26}


def test_an_unknown_type_is_an_error_and_not_free() -> None:
    with pytest.raises(UnpricedError, match="AWS::MSK::Cluster"):
        idle_cost(resources(("AWS::MSK::Cluster", {})), PRICE_FILE)


@pytest.mark.parametrize(("stage", "most"), [("small", 80), ("large", 500)])
def test_every_resource_of_a_stage_is_priced(templates: dict[str, Template], stage: str, most: float) -> None:
    total = sum(line.usd for line in idle_cost(templates[stage].body, PRICE_FILE))

    assert 10 < total < most


def test_the_documents_table_is_what_the_templates_cost(templates: dict[str, Template]) -> None:
    totals = (sum(line.usd for line in idle_cost(templates[stage].body, PRICE_FILE)) for stage in ("small", "large"))
    row = "| **Total** | " + " | ".join(f"**{total:.2f}**" for total in totals) + " |"

    assert row in (PROJECT / "docs" / "deploy.md").read_text()


def test_prices_are_dated_and_name_their_source() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", PRICE_FILE["as_of"])
    for name, price in PRICE_FILE["prices"].items():
        assert price["usd"] > 0, name
        assert "pricing" in price["source"], name
