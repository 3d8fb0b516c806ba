"""DynamoDB and its streams."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localstack.compute.stacks import deployed
from tests.localstack.server import LocalStack, eventually

PROPERTIES: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "partition", "AttributeType": "S"},
        {"AttributeName": "sort", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "partition", "KeyType": "HASH"},
        {"AttributeName": "sort", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
    "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
}
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": PROPERTIES},
        "GlobalTable": {
            "Type": "AWS::DynamoDB::GlobalTable",
            "Properties": {**PROPERTIES, "Replicas": [{"Region": {"Ref": "AWS::Region"}}]},
        },
    },
    "Outputs": {
        "Table": {"Value": {"Ref": "Table"}},
        "TableArn": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}},
        "GlobalTable": {"Value": {"Ref": "GlobalTable"}},
        "GlobalTableId": {"Value": {"Fn::GetAtt": ["GlobalTable", "TableId"]}},
        "GlobalTableStream": {"Value": {"Fn::GetAtt": ["GlobalTable", "StreamArn"]}},
    },
}


@pytest.fixture(scope="module")
def outputs(localstack: LocalStack) -> Iterator[dict[str, str]]:
    with deployed(localstack, TEMPLATE) as outputs:
        yield outputs


@pytest.fixture
def dynamodb(localstack: LocalStack) -> Any:
    return localstack.client("dynamodb")


def key(partition: str, sort: str = "0") -> dict[str, Any]:
    return {"partition": {"S": partition}, "sort": {"S": sort}}


def test_tables_of_a_stack(outputs: dict[str, str], dynamodb: Any) -> None:
    for name in (outputs["Table"], outputs["GlobalTable"]):
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    table = dynamodb.describe_table(TableName=outputs["GlobalTable"])["Table"]
    assert uuid.UUID(outputs["GlobalTableId"]) == uuid.UUID(table["TableId"])
    assert table["LatestStreamArn"] == outputs["GlobalTableStream"]
    assert outputs["TableArn"].endswith(f":table/{outputs['Table']}")


def test_conditions_and_queries(outputs: dict[str, str], dynamodb: Any) -> None:
    table = outputs["GlobalTable"]
    for number in range(3):
        dynamodb.put_item(TableName=table, Item=key("query", str(number)))

    found = dynamodb.query(
        TableName=table,
        KeyConditionExpression="#p = :p AND sort > :s",
        ExpressionAttributeNames={"#p": "partition"},
        ExpressionAttributeValues={":p": {"S": "query"}, ":s": {"S": "0"}},
        ConsistentRead=True,
    )

    assert [item["sort"]["S"] for item in found["Items"]] == ["1", "2"]
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(TableName=table, Item=key("query"), ConditionExpression="attribute_not_exists(sort)")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.get_item(TableName="missing", Key=key("a"))


def test_concurrent_transactions_lose_no_update(outputs: dict[str, str], localstack: LocalStack) -> None:
    table, threads, rounds = outputs["GlobalTable"], 6, 15
    client = localstack.client("dynamodb")
    update = {
        "TableName": table,
        "Key": key("counter"),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }

    def count() -> None:
        for _ in range(rounds):
            client.transact_write_items(TransactItems=[{"Update": update}])

    running = [threading.Thread(target=count) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(30)

    item = client.get_item(TableName=table, Key=key("counter"))["Item"]
    assert item["n"] == {"N": str(threads * rounds)}


def test_cancelled_transaction_leaves_no_trace(outputs: dict[str, str], dynamodb: Any, localstack: LocalStack) -> None:
    table = outputs["GlobalTable"]
    dynamodb.put_item(TableName=table, Item={**key("kept"), "n": {"N": "1"}})
    before = _records(localstack, outputs["GlobalTableStream"])
    update = {
        "TableName": table,
        "Key": key("kept"),
        "UpdateExpression": "SET n = :two",
        "ExpressionAttributeValues": {":two": {"N": "2"}},
    }
    refused = {"TableName": table, "Key": key("absent"), "ConditionExpression": "attribute_exists(sort)"}

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as error:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Update": update},
                {"Put": {"TableName": table, "Item": key("new")}},
                {"ConditionCheck": refused},
            ]
        )

    reasons = [reason["Code"] for reason in error.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "ConditionalCheckFailed"]
    assert dynamodb.get_item(TableName=table, Key=key("kept"))["Item"]["n"] == {"N": "1"}
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("new"))
    assert _records(localstack, outputs["GlobalTableStream"]) == before


def test_repeated_client_token_writes_once(outputs: dict[str, str], dynamodb: Any) -> None:
    table, token = outputs["GlobalTable"], uuid.uuid4().hex
    update = {
        "TableName": table,
        "Key": key("token"),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }

    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)

    assert dynamodb.get_item(TableName=table, Key=key("token"))["Item"]["n"] == {"N": "1"}
    with pytest.raises(dynamodb.exceptions.IdempotentParameterMismatchException):
        dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": key("token")}}], ClientRequestToken=token
        )


def test_batches_hold_25_writes(outputs: dict[str, str], dynamodb: Any) -> None:
    table = outputs["GlobalTable"]
    puts = [{"PutRequest": {"Item": key("batch", str(number))}} for number in range(26)]

    dynamodb.batch_write_item(RequestItems={table: puts[:25]})

    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.batch_write_item(RequestItems={table: puts})


def test_expired_items_are_deleted(outputs: dict[str, str], dynamodb: Any, localstack: LocalStack) -> None:
    table = outputs["GlobalTable"]
    past, future = str(int(time.time()) - 1), str(int(time.time()) + 3600)
    dynamodb.put_item(TableName=table, Item={**key("later"), "expires_at": {"N": future}})
    dynamodb.put_item(TableName=table, Item={**key("expired"), "expires_at": {"N": past}})

    eventually(lambda: "Item" not in dynamodb.get_item(TableName=table, Key=key("expired")))

    assert "Item" in dynamodb.get_item(TableName=table, Key=key("later"))
    last = _records(localstack, outputs["GlobalTableStream"])[-1]
    assert last["eventName"] == "REMOVE"
    assert last["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def test_stream_has_one_record_a_change(outputs: dict[str, str], dynamodb: Any, localstack: LocalStack) -> None:
    table, item_key = outputs["GlobalTable"], key(f"stream-{uuid.uuid4().hex}")
    for value in ("1", "2"):
        dynamodb.update_item(
            TableName=table,
            Key=item_key,
            UpdateExpression="SET n = :n",
            ExpressionAttributeValues={":n": {"N": value}},
        )
    dynamodb.delete_item(TableName=table, Key=item_key)

    all_records = _records(localstack, outputs["GlobalTableStream"])
    records = [record for record in all_records if record["dynamodb"]["Keys"] == item_key]

    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["OldImage"]["n"] == {"N": "1"}
    assert records[1]["dynamodb"]["NewImage"]["n"] == {"N": "2"}
    first = records[0]["dynamodb"]["SequenceNumber"]
    after = _records(localstack, outputs["GlobalTableStream"], "AFTER_SEQUENCE_NUMBER", first)
    assert after[0]["eventID"] == records[1]["eventID"]


def _records(localstack: LocalStack, stream: str, kind: str = "TRIM_HORIZON", number: str = "") -> list[dict[str, Any]]:
    client = localstack.client("dynamodbstreams")
    shard = client.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    start = {"SequenceNumber": number} if number else {}
    iterator = client.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType=kind, **start)
    records: list[dict[str, Any]] = []
    while page := client.get_records(ShardIterator=iterator["ShardIterator"]):
        if not page["Records"]:
            return json.loads(json.dumps(records, default=str))
        records += page["Records"]
        iterator = {"ShardIterator": page["NextShardIterator"]}
    return records
