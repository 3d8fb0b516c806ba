"""What moto's tables and streams lack, patched into moto's own classes."""

import uuid
from typing import Any

from localstack.utils.patch import patch as replace
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import StreamRecord, StreamShard, Table

from suna_localstack.dynamodb import moto_transactions
from suna_localstack.once import once


@once
def patch() -> None:
    """Patch moto, once."""
    _patch_tables()
    _patch_streams()
    moto_transactions.patch()


def _patch_tables() -> None:
    @replace(Table.describe)
    def _describe(describe: Any, self: Table, base_key: str = "TableDescription") -> dict[str, Any]:
        # CloudFormation's GlobalTable reads it.
        description: dict[str, Any] = describe(self, base_key)
        description[base_key]["TableId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.table_arn}/{self.created_at}"))
        return description

    @replace(DynamoDBBackend.update_item)
    def _update_item(update_item: Any, self: DynamoDBBackend, table_name: str, *args: Any, **kwargs: Any) -> Any:
        # An update that makes an item puts its keys first: two records of an insertion where AWS has one.
        table: Any = self.get_table(table_name)
        before = len(table.stream_shard.items) if table.stream_shard else 0
        item = update_item(self, table_name, *args, **kwargs)
        if table.stream_shard and len(table.stream_shard.items) == before + 2:
            first = table.stream_shard.items.pop(before)
            record: dict[str, Any] = table.stream_shard.items[before].record
            record["dynamodb"]["SequenceNumber"] = first.record["dynamodb"]["SequenceNumber"]
        return item


def _patch_streams() -> None:
    @replace(StreamShard.add)
    def _add(_add: Any, self: Any, old: Any, new: Any) -> None:
        # The original imports moto's own Lambda, which takes seconds, to call functions that only moto knows.
        event_name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        view_type = self.table.stream_specification["StreamViewType"]
        sequence_number = self.starting_sequence_number + len(self.items)
        record: Any = StreamRecord(self.table, view_type, event_name, old, new, sequence_number)
        record.record["awsRegion"] = self.table.region_name
        self.items.append(record)
