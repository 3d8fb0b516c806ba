"""The environment LocalStack runs in: only the services this stack uses, everything in one folder, nothing fetched."""

from pathlib import Path

SERVICES = (
    "apigatewaymanagementapi",
    "apigatewayv2",
    "cloudformation",
    "dynamodb",
    "dynamodbstreams",
    "ecr",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)
"""Every other service answers that it is not enabled. CloudWatch is left out on purpose: LocalStack starts a thread
and makes a call to it for each Lambda invocation."""


def localstack_environment(
    *,
    port: int,
    state_dir: Path,
    log_dir: Path | None = None,
    gateway_port: int | None = None,
    gateway_stack: str | None = None,
) -> dict[str, str]:
    """Build the variables that configure LocalStack and the plugins of this package.

    Parameters
    ----------
    port
        Port of the AWS endpoint, on 127.0.0.1.
    state_dir
        Folder for everything LocalStack writes; it is created, and safe to delete while LocalStack is stopped.
    log_dir
        Folder for one log file a Lambda function, ``<function name>.log``; without it they go to CloudWatch Logs only.
    gateway_port, gateway_stack
        Port of API Gateway's data plane and name of the stack whose APIs it serves at its root.
    """
    address = f"127.0.0.1:{port}"
    environment = {
        "SERVICES": ",".join(SERVICES),
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,
        # URLs with the queue in the path resolve without DNS.
        "SQS_ENDPOINT_STRATEGY": "path",
        "SQS_DISABLE_CLOUDWATCH_METRICS": "1",
        # Presigned URLs end, and are refused when they are changed, as on AWS.
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "OVERRIDE_IN_DOCKER": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "LOCALSTACK_VOLUME_DIR": str(state_dir / "volume"),
        "FILESYSTEM_ROOT": str(state_dir / "filesystem"),
        # plux's index of entry points.
        "XDG_CACHE_HOME": str(state_dir / "cache"),
        "SUNA_STATE_DIR": str(state_dir),
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
        "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
        "PROVIDER_OVERRIDE_APIGATEWAYV2": "moto",
        "PROVIDER_OVERRIDE_APIGATEWAYMANAGEMENTAPI": "moto",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        # A burst of cold starts is bound by the CPU; ten seconds as on AWS would fail it on a small machine.
        "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "120",
        "LAMBDA_KEEPALIVE_MS": "600000",
    }
    if log_dir is not None:
        environment["SUNA_LOG_DIR"] = str(log_dir)
    if gateway_port is not None:
        environment["SUNA_GATEWAY_PORT"] = str(gateway_port)
    if gateway_stack is not None:
        environment["SUNA_GATEWAY_STACK"] = gateway_stack
    return environment
