"""Time to live: items whose time has passed are deleted by a sweep, seconds later where AWS takes up to days."""

import logging
import os
import threading
import time

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

LOG = logging.getLogger(__name__)

_SERVICE = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
"""What AWS puts into the stream record of an expired item, so that it can be told from a deletion."""


class ExpirySweep:
    """A thread that deletes expired items every ``SUNA_DYNAMODB_TTL_SWEEP_S`` seconds (10)."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._interval_s = float(os.environ.get("SUNA_DYNAMODB_TTL_SWEEP_S") or 10)
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="dynamodb-expiry", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            with self._lock:
                for account in list(dynamodb_backends.values()):
                    for backend in list(account.values()):
                        for table in list(backend.tables.values()):
                            delete_expired_items(table, now_s=time.time())


def delete_expired_items(table: Table, *, now_s: float) -> None:
    """Delete the items of a table whose TTL attribute, a number of seconds since the epoch, is not after ``now_s``."""
    if table.ttl["TimeToLiveStatus"] != "ENABLED":
        return
    attribute = table.ttl["AttributeName"]
    expired = [item for item in table.all_items() if _expires_at(item, attribute) <= now_s]
    for item in expired:
        table.delete_item(item.hash_key, item.range_key)
        if table.stream_shard:
            table.stream_shard.items[-1].record["userIdentity"] = _SERVICE
    if expired:
        LOG.debug("deleted %d expired items of table %s", len(expired), table.name)


def _expires_at(item: Item, attribute: str) -> float:
    value = item.attrs.get(attribute)
    if value is None or value.type != "N":
        return float("inf")
    return float(value.value)
