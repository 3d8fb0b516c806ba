"""Transactions that cost what they touch.

For its rollback moto copies every table of a transaction, with all items, and puts the copy in the table's place, so
that readers of the table's stream hold on to one that no longer grows. Here only the items that a transaction names
are kept, and put back.
"""

import copy
import threading
from typing import Any

from localstack.utils.patch import patch as replace
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table


class _Transaction(threading.local):
    """Whether the thread is inside a transaction."""

    active = False


_TRANSACTION = _Transaction()


def patch() -> None:
    """Replace moto's rollback."""
    setattr(Table, "__deepcopy__", _deepcopy)  # noqa: B010 - it has none to be typed by

    @replace(DynamoDBBackend.transact_write_items)
    def _transact_write_items(
        transact_write_items: Any, self: DynamoDBBackend, transact_items: list[dict[str, Any]]
    ) -> None:
        undo = [step for entry in transact_items for step in _undo_steps(self, entry)]
        streams = {table.name: len(table.stream_shard.items) for table, *_ in undo if table.stream_shard}
        _TRANSACTION.active = True
        try:
            transact_write_items(self, transact_items)
        except BaseException:
            for table, hash_key, range_key, item in undo:
                _put_back(table, hash_key, range_key, item)
            for table, *_ in undo:
                if table.stream_shard:
                    del table.stream_shard.items[streams[table.name] :]
            raise
        finally:
            _TRANSACTION.active = False


def _deepcopy(self: Table, memo: dict[int, Any]) -> Table:
    if _TRANSACTION.active:
        return self
    clone: Any = Table.__new__(Table)
    memo[id(self)] = clone
    clone.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return clone


def _undo_steps(backend: DynamoDBBackend, entry: dict[str, Any]) -> list[tuple[Table, Any, Any, Any]]:
    """The items one entry of a transaction names, as they are now: (table, hash key, range key, item or None)."""
    steps: list[tuple[Table, Any, Any, Any]] = []
    for operation in entry.values():
        table = backend.tables.get(operation.get("TableName"))
        keys = operation.get("Key") or operation.get("Item") or {}
        if table is None or any(name not in keys for name in table.table_key_attrs):
            continue  # moto refuses it
        hash_key, range_key = backend.get_keys_value(table, keys)
        steps.append((table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))))
    return steps


def _put_back(table: Table, hash_key: Any, range_key: Any, item: Any) -> None:
    if table.range_key_attr is None:
        if item is None:
            table.items.pop(hash_key, None)
        else:
            table.items[hash_key] = item
    elif item is None:
        table.items[hash_key].pop(range_key, None)
    else:
        table.items[hash_key][range_key] = item
