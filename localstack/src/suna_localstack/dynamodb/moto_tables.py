"""What moto's tables and streams lack, patched into moto's own classes."""

import uuid
from collections.abc import Callable
from typing import Any, cast

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import StreamRecord, StreamShard, Table

from suna_localstack.dynamodb import moto_transactions
from suna_localstack.once import once
from suna_localstack.patching import replace


@once
def patch() -> None:
    """Patch moto, once."""
    _patch_tables()
    _patch_streams()
    moto_transactions.patch()


def _patch_tables() -> None:
    @replace(Table.describe)
    def _describe(
        describe: Callable[[Table, str], dict[str, Any]], self: Table, base_key: str = "TableDescription"
    ) -> dict[str, Any]:
        # CloudFormation's GlobalTable reads it.
        description = describe(self, base_key)
        description[base_key]["TableId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.table_arn}/{self.created_at}"))
        return description

    @replace(DynamoDBBackend.update_item)
    def _update_item(
        update_item: Callable[..., Item], self: DynamoDBBackend, table_name: str, *args: Any, **kwargs: Any
    ) -> Item:
        # An update that makes an item puts its keys first: two records of an insertion where AWS has one.
        table = self.get_table(table_name)
        before = len(table.stream_shard.items) if table.stream_shard else 0
        item = update_item(self, table_name, *args, **kwargs)
        if table.stream_shard and len(table.stream_shard.items) == before + 2:
            first = table.stream_shard.items.pop(before)
            record = table.stream_shard.items[before].record
            record["dynamodb"]["SequenceNumber"] = first.record["dynamodb"]["SequenceNumber"]
        return item


def _patch_streams() -> None:
    @replace(StreamShard.add)
    def _add(_add: object, self: StreamShard, old: Item | None, new: Item | None) -> None:
        # The original imports moto's own Lambda, which takes seconds, to call functions that only moto knows.
        event_name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        specification = cast(dict[str, Any], self.table.stream_specification)
        view_type = specification["StreamViewType"]
        sequence_number = self.starting_sequence_number + len(self.items)
        made = StreamRecord(self.table, view_type, event_name, old, new, sequence_number)
        record = cast(StreamRecord, made)  # the base class of moto's models says that it makes itself
        record.record["awsRegion"] = self.table.region_name
        self.items.append(record)
