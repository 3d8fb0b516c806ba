"""Transactions that cost what they touch.

For its rollback moto copies every table of a transaction, with all items, and puts the copy in the table's place, so
that readers of the table's stream hold on to one that no longer grows. Here only the items that a transaction names
are kept, and put back.
"""

import copy
import threading
from collections.abc import Callable
from typing import Any, cast

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from suna_localstack.patching import replace

type _UndoStep = tuple[Table, DynamoType, DynamoType | None, Item | None]
"""An item as it was: table, hash key, range key, and the item if there was one."""


class _Transaction(threading.local):
    """Whether the thread is inside a transaction."""

    active = False


_TRANSACTION = _Transaction()


def patch() -> None:
    """Replace moto's rollback."""
    setattr(Table, "__deepcopy__", _deepcopy)  # noqa: B010 - it has none to be typed by

    @replace(DynamoDBBackend.transact_write_items)
    def _transact_write_items(
        transact_write_items: Callable[[DynamoDBBackend, list[dict[str, Any]]], None],
        self: DynamoDBBackend,
        transact_items: list[dict[str, Any]],
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


def _undo_steps(backend: DynamoDBBackend, entry: dict[str, Any]) -> list[_UndoStep]:
    """The items one entry of a transaction names, as they are now."""
    steps: list[_UndoStep] = []
    for operation in entry.values():
        table = backend.tables.get(operation.get("TableName"))
        keys: dict[str, Any] = operation.get("Key") or operation.get("Item") or {}
        if table is None or any(name not in keys for name in table.table_key_attrs):
            continue  # moto refuses it
        hash_key, range_key = backend.get_keys_value(table, keys)
        steps.append((table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))))
    return steps


def _put_back(table: Table, hash_key: DynamoType, range_key: DynamoType | None, item: Item | None) -> None:
    # An item, or with a range key the items by that; moto gives it no type.
    items = cast(dict[DynamoType, Any], table.items)  # pyright: ignore[reportUnknownMemberType]
    if table.range_key_attr is None:
        if item is None:
            items.pop(hash_key, None)
        else:
            items[hash_key] = item
    elif item is None:
        items[hash_key].pop(range_key, None)
    else:
        items[hash_key][range_key] = item
