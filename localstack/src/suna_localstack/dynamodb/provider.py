"""Entry points of ``localstack.aws.provider``: DynamoDB and DynamoDB Streams named ``moto``."""

from localstack.services.plugins import Service, aws_provider


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """DynamoDB."""
    from suna_localstack.dynamodb import moto_tables, tables  # noqa: PLC0415

    moto_tables.patch()
    return Service.for_provider(tables.TablesProvider(), dispatch_table_factory=tables.dispatch_table)


@aws_provider(api="dynamodbstreams", name="moto")
def dynamodbstreams() -> Service:
    """DynamoDB Streams."""
    from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi  # noqa: PLC0415

    from suna_localstack.dynamodb import moto_tables, tables  # noqa: PLC0415

    moto_tables.patch()
    return Service.for_provider(DynamodbstreamsApi(), dispatch_table_factory=tables.dispatch_table)
