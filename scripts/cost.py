"""What each stage costs in a month in which nobody uses it, from the stages' settings and a dated price file.

Queues, functions without SnapStart, the workflow, DynamoDB, S3, CloudFront and both APIs are paid by use: idle, they
cost nothing or cents. Data transfer, logs and backups depend on use and are left out.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.stages import STAGES, CloudSettings, Stage

PRICES = Path(__file__).with_name("prices.json")
_SECRETS = 3  # database, token verification, model provider
_STORAGE_GB = 1.0  # an almost empty database


def lines(stage: Stage, cloud: CloudSettings, prices: dict[str, float], hours: float) -> Iterator[tuple[str, float]]:
    """Yield ``(what, USD a month)`` for everything of ``stage`` that is paid by time."""
    nat = cloud.nat_gateways
    yield f"{nat} NAT gateway(s) with address", nat * hours * (prices["nat_gateway_hour"] + prices["public_ipv4_hour"])
    database = cloud.database
    instances = 2 if database.reader else 1
    paused = " (paused)" if database.min_acu == 0 else ""
    what = f"Aurora Serverless v2, {instances} x {database.min_acu:g} ACU{paused}"
    yield what, instances * database.min_acu * hours * prices["aurora_acu_hour"]
    yield f"Aurora storage, {_STORAGE_GB:g} GB", _STORAGE_GB * prices["aurora_storage_gb_month"]
    if database.proxy:
        acu = max(prices["rds_proxy_minimum_acu"], instances * database.min_acu)
        yield f"RDS Proxy, {acu:g} ACU (its minimum)", acu * hours * prices["rds_proxy_acu_hour"]
    gigabytes = prices["valkey_minimum_gb"]
    yield f"ElastiCache Serverless (Valkey), {gigabytes:g} GB", gigabytes * hours * prices["valkey_gb_hour"]
    yield f"{_SECRETS} secrets", _SECRETS * prices["secret_month"]
    snap_started = sum(f.memory_mb for f in stage.functions.values() if f.snap_start) / 1024
    seconds = hours * 3600
    yield f"SnapStart, {snap_started:.1f} GB of snapshots", snap_started * seconds * prices["snap_start_gb_second"]


def main() -> int:
    table = json.loads(PRICES.read_text())
    print(f"Idle cost a month in {table['currency']}, {table['region']}, prices of {table['as_of']} ({PRICES.name})")
    for stage in STAGES.values():
        if stage.cloud is None:
            continue
        entries = list(lines(stage, stage.cloud, table["prices"], table["hours_per_month"]))
        print(f"\n{stage.name}")
        for what, amount in entries:
            print(f"  {amount:8.2f}  {what}")
        print(f"  {sum(amount for _, amount in entries):8.2f}  in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
