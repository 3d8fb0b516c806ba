"""What the architecture asks of every stage and what a template can show."""

import json
import platform
import re
from pathlib import Path

import pytest

from infra.constructs.deploy_step import migrations_hash
from infra.constructs.functions import FUNCTIONS
from infra.stages import STAGES
from shared.aws.queue import SweepMessage
from tests.infra.conftest import PROJECT
from tests.infra.template import Template

FOURTEEN_DAYS_S = 14 * 24 * 3600
HANDLERS = {
    "Http": "functions.api.http.main.handler",
    "WebSocket": "functions.api.websocket.main.handler",
    "Watch": "functions.api.watch.main.handler",
    "Sender": "functions.api.sender.main.handler",
    "Migrate": "functions.api.migrate.main.handler",
    "QueueRunner": "functions.runner.main.queue_handler",
    "WorkflowRunner": "functions.runner.main.workflow_handler",
    "Summarizer": "functions.summarizer.main.handler",
}


PAGE_HANDLER = "functions.api.page.main.handler"


def in_the_cloud(template: Template) -> bool:
    """Whether the template is of a stage in the cloud."""
    return bool(template.of_type("AWS::CloudFront::Distribution"))


def test_all_functions_are_python_on_arm_and_there_are_no_others(template: Template) -> None:
    functions = template.of_type("AWS::Lambda::Function")
    publisher = [PAGE_HANDLER] if in_the_cloud(template) else []

    assert sorted(function["Handler"] for function in functions.values()) == sorted([*HANDLERS.values(), *publisher])
    for function in functions.values():
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]


@pytest.mark.parametrize(("name", "handler"), HANDLERS.items())
def test_each_function_has_its_handler_and_a_log_group_with_retention(
    template: Template, name: str, handler: str
) -> None:
    function = template.function(name)

    assert function["Handler"] == handler
    log_group = template.resources[function["LoggingConfig"]["LogGroup"]["Ref"]]
    assert log_group["Properties"]["RetentionInDays"] >= 1


def test_no_template_needs_a_helper_function_of_the_cdk(template: Template) -> None:
    custom = {value["Type"] for value in template.resources.values() if value["Type"].startswith("Custom::")}

    page = {"Custom::Page"} if in_the_cloud(template) else set[str]()
    assert custom == {"Custom::Catalogue", "Custom::Migration"} | page
    assert "nodejs" not in json.dumps(template.body)
    assert not template.of_type("AWS::CloudFormation::CustomResource")


def test_the_watch_queue_has_no_redrive_and_keeps_messages_for_fourteen_days(template: Template) -> None:
    queue = template.queue("Watch")

    assert "RedrivePolicy" not in queue
    assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS_S


@pytest.mark.parametrize("stage", STAGES)
def test_a_schedule_sends_the_watch_queue_what_the_watch_function_sweeps_on(
    templates: dict[str, Template], stage: str
) -> None:
    template = templates[stage]
    rule = template.one("AWS::Events::Rule", "Queues/Sweep/")
    key = template.logical_id("AWS::Events::Rule", "Queues/Sweep/")
    watch = {"Fn::GetAtt": [template.logical_id("AWS::SQS::Queue", "Queues/Watch/"), "Arn"]}
    [target] = rule["Targets"]

    assert (rule["State"], target["Arn"]) == ("ENABLED", watch)
    assert SweepMessage.parse(target["Input"]) == SweepMessage(next_in_s=STAGES[stage].sweep_every_min * 60)
    statements = template.one("AWS::SQS::QueuePolicy", "Queues/Watch/")["PolicyDocument"]["Statement"]
    [allowed] = [statement for statement in statements if statement["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [key, "Arn"]}}}


def test_no_sweep_keeps_a_database_awake_that_pauses() -> None:
    for stage in STAGES.values():
        pauses = stage.cloud.database.pause_after_s if stage.cloud else None
        assert pauses is None or stage.sweep_every_min * 60 > 20 * pauses


def test_runs_and_retry_have_dead_letter_queues_that_the_watch_function_reads(template: Template) -> None:
    sources = template.event_sources()
    watch = template.logical_id("AWS::Lambda::Function", "Functions/Watch/")

    for name in ("Runs", "Retry"):
        target = template.queue(name)["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert template.path_of(target).startswith(f"Queues/{name}DeadLetters/")
        assert sources[f"{name}DeadLetters"]["FunctionName"] == {"Ref": watch}
    assert sources["Watch"]["FunctionName"] == {"Ref": watch}


def test_visibility_is_six_times_the_readers_timeout(template: Template) -> None:
    readers = {"Runs": "QueueRunner", "Retry": "QueueRunner", "Watch": "Watch"}
    readers |= {"RunsDeadLetters": "Watch", "RetryDeadLetters": "Watch"}

    assert set(readers) == set(template.event_sources())
    for queue, function in readers.items():
        assert template.queue(queue)["VisibilityTimeout"] >= 6 * template.function(function)["Timeout"]


def test_queues_are_encrypted_and_refuse_plain_text(template: Template) -> None:
    policies = json.dumps(list(template.of_type("AWS::SQS::QueuePolicy").values()))

    for key, queue in template.of_type("AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True
        assert key in policies
    assert policies.count("aws:SecureTransport") == len(template.of_type("AWS::SQS::Queue"))


def test_event_sources_report_partial_failures_and_bound_their_concurrency(template: Template) -> None:
    for source in template.event_sources().values():
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["ScalingConfig"]["MaximumConcurrency"] >= 2
    assert template.event_sources()["Retry"]["BatchSize"] == 1
    assert template.event_sources()["Runs"]["BatchSize"] > 1


def test_event_sources_cannot_use_more_than_the_reserved_concurrency(template: Template) -> None:
    sources = template.event_sources()
    used = {"QueueRunner": ("Runs", "Retry"), "Watch": ("Watch", "RunsDeadLetters", "RetryDeadLetters")}

    for function, queues in used.items():
        most = sum(sources[queue]["ScalingConfig"]["MaximumConcurrency"] for queue in queues)
        assert most <= template.function(function)["ReservedConcurrentExecutions"]


def test_functions_that_queue_for_or_invoke_themselves_may_loop_and_no_others(template: Template) -> None:
    allowed = {name for name in HANDLERS if template.function(name).get("RecursiveLoop") == "Allow"}

    assert allowed == {"QueueRunner", "WorkflowRunner", "Watch", "Sender"}


def test_calls_of_the_sender_are_given_up_after_an_hour(template: Template) -> None:
    assert template.one("AWS::Lambda::EventInvokeConfig", "Sender")["MaximumEventAgeInSeconds"] == 3600


def test_subscriptions_expire_and_are_keyed_by_thread_and_connection(template: Template) -> None:
    table = template.one("AWS::DynamoDB::GlobalTable")

    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        ("thread_id", "HASH"),
        ("connection_id", "RANGE"),
    ]
    assert "GlobalSecondaryIndexes" not in table


def test_files_are_private(template: Template) -> None:
    for bucket in template.of_type("AWS::S3::Bucket").values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())


def test_the_files_bucket_takes_uploads_of_the_pages_that_may_call_the_api(template: Template) -> None:
    bucket = template.of_type("AWS::S3::Bucket")[template.logical_id("AWS::S3::Bucket", "Storage/Files/")]

    [rule] = bucket["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == {"Ref": "CorsOrigins"}
    assert sorted(rule["AllowedMethods"]) == ["GET", "POST"]
    assert "AbortIncompleteMultipartUpload" in bucket["LifecycleConfiguration"]["Rules"][0]


def test_websocket_commands_are_answered_and_connections_are_not(template: Template) -> None:
    routes = {
        route["RouteKey"]: key
        for key, route in template.of_type("AWS::ApiGatewayV2::Route").items()
        if template.path_of(key).startswith("WebSocketApi/")
    }

    assert set(routes) == {"$connect", "$disconnect", "$default"}
    answered = [
        response["RouteId"]["Ref"] for response in template.of_type("AWS::ApiGatewayV2::RouteResponse").values()
    ]
    assert answered == [routes["$default"]]
    assert template.resources[routes["$default"]]["Properties"]["RouteResponseSelectionExpression"] == "$default"


def test_http_requests_reach_one_function_with_payload_2(template: Template) -> None:
    integration = template.one("AWS::ApiGatewayV2::Integration", "HttpApi/")
    stage = template.one("AWS::ApiGatewayV2::Stage", "HttpApi/")

    assert integration["PayloadFormatVersion"] == "2.0"
    assert template.one("AWS::ApiGatewayV2::Route", "HttpApi/")["RouteKey"] == "$default"
    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert "status" in stage["AccessLogSettings"]["Format"]


def test_cross_origin_requests_carry_no_credentials(template: Template) -> None:
    cors = template.one("AWS::ApiGatewayV2::Api", "HttpApi/")["CorsConfiguration"]

    assert cors["AllowOrigins"] == {"Ref": "CorsOrigins"}
    assert not cors.get("AllowCredentials")


def test_migrations_run_when_their_files_change_and_only_then(template: Template, tmp_path: Path) -> None:
    migration = template.one("Custom::Migration")
    assert migration["ServiceToken"]["Fn::GetAtt"][0] == template.logical_id(
        "AWS::Lambda::Function", "Functions/Migrate/"
    )
    assert migration["FilesHash"] == migrations_hash()

    (tmp_path / "0001.sql").write_text("SELECT 1")
    before = migrations_hash(tmp_path)
    assert migrations_hash(tmp_path) == before
    (tmp_path / "0002.sql").write_text("SELECT 2")
    assert migrations_hash(tmp_path) != before


def test_migrations_wait_for_the_database(cloud_template: Template) -> None:
    waits_for = {
        cloud_template.resources[key]["Type"]
        for key in cloud_template.resources[cloud_template.logical_id("Custom::Migration", "")]["DependsOn"]
    }

    assert {"AWS::RDS::DBCluster", "AWS::RDS::DBInstance", "AWS::EC2::Route"} <= waits_for


def test_secrets_are_named_in_the_environment_and_never_in_it(template: Template) -> None:
    for name in HANDLERS:
        for variable, value in template.function(name)["Environment"]["Variables"].items():
            assert not re.search(r"resolve:secretsmanager", json.dumps(value)), variable
            assert value not in ({"Ref": "DatabaseSecret"}, {"Ref": "AuthSecret"}, {"Ref": "ProviderSecret"}), variable


def test_only_executors_know_the_providers_keys(template: Template) -> None:
    knowing = {
        name for name in HANDLERS if "PROVIDER_SECRET_ARN" in template.function(name)["Environment"]["Variables"]
    }

    assert knowing == {"QueueRunner", "WorkflowRunner", "Summarizer"}


def test_only_stage_local_lets_webhooks_go_to_private_addresses(templates: dict[str, Template]) -> None:
    for stage, of_stage in templates.items():
        for name in HANDLERS:
            variables = of_stage.function(name)["Environment"]["Variables"]
            assert ("WEBHOOK_ALLOWED_PRIVATE" in variables) == (stage == "local")


def test_functions_with_litellm_never_fetch_its_price_map(template: Template) -> None:
    for name, spec in FUNCTIONS.items():
        variables = template.function(name)["Environment"]["Variables"]
        assert variables.get("LITELLM_LOCAL_MODEL_COST_MAP") == ("True" if spec.group != "api" else None)


def test_outputs_name_every_function_and_address(template: Template) -> None:
    expected = {f"{name}FunctionName" for name in HANDLERS}
    expected |= {"HttpApiId", "HttpApiUrl", "WebSocketApiId", "WebSocketUrl", "ConnectionsUrl", "SubscriptionsTable"}
    expected |= {"RunsQueueUrl", "RetryQueueUrl", "WatchQueueUrl", "WorkflowArn"}

    assert expected <= set(template.body["Outputs"])


def test_stage_local_takes_everything_of_the_machine_from_parameters(templates: dict[str, Template]) -> None:
    body = templates["local"].body
    text = json.dumps(body)

    parameters = body["Parameters"]
    assert {"CodeRoot", "DatabaseSecret", "RedisUrl", "AuthSecret", "ProviderSecret", "GatewayUrl"} <= set(parameters)
    assert all(parameters[name]["NoEcho"] for name in ("DatabaseSecret", "AuthSecret", "ProviderSecret"))
    for of_this_machine in (str(PROJECT), str(Path.home()), platform.node()):
        assert of_this_machine not in text
    assert "BootstrapVersion" not in parameters
    for name, spec in FUNCTIONS.items():
        code = templates["local"].function(name)["Code"]
        assert code == {"S3Bucket": "hot-reload", "S3Key": {"Fn::Join": ["", [{"Ref": "CodeRoot"}, f"/{spec.group}"]]}}


def test_functions_in_the_cloud_live_in_private_subnets(cloud_template: Template) -> None:
    for name in HANDLERS:
        subnets = cloud_template.function(name)["VpcConfig"]["SubnetIds"]
        assert subnets
        for subnet in subnets:
            assert "FunctionsSubnet" in cloud_template.path_of(subnet["Ref"])


def test_data_is_reached_only_by_the_functions_and_over_tls(cloud_template: Template) -> None:
    functions = cloud_template.logical_id("AWS::EC2::SecurityGroup", "Network/Functions/")
    for key, rule in cloud_template.of_type("AWS::EC2::SecurityGroupIngress").items():
        sources = rule["SourceSecurityGroupId"]["Fn::GetAtt"][0]
        # The proxy of stage large is the one other source: it connects to the cluster.
        assert sources == functions or "Proxy" in cloud_template.path_of(sources), key
        assert "CidrIp" not in rule
    for group in cloud_template.of_type("AWS::EC2::SecurityGroup").values():
        assert not group.get("SecurityGroupIngress")
    for name in HANDLERS:
        url = cloud_template.function(name)["Environment"]["Variables"]["REDIS_URL"]
        assert url["Fn::Join"][1][0] == "rediss://"
    parameters = cloud_template.one("AWS::RDS::DBClusterParameterGroup")["Parameters"]
    assert parameters["rds.force_ssl"] == "1"
    assert cloud_template.one("AWS::RDS::DBCluster")["StorageEncrypted"] is True


def test_no_endpoint_catches_the_calls_to_connections(cloud_template: Template) -> None:
    kinds = {endpoint["VpcEndpointType"] for endpoint in cloud_template.of_type("AWS::EC2::VPCEndpoint").values()}

    assert kinds == {"Gateway"}


def test_snap_start_is_on_where_somebody_waits_and_triggers_use_the_published_version(cloud_template: Template) -> None:
    started = {
        name for name in HANDLERS if cloud_template.function(name).get("SnapStart") == {"ApplyOn": "PublishedVersions"}
    }
    aliases = {cloud_template.path_of(key).split("/")[1]: key for key in cloud_template.of_type("AWS::Lambda::Alias")}

    assert started == {"Http", "QueueRunner"} == set(aliases)
    assert aliases["QueueRunner"] in json.dumps(cloud_template.event_sources()["Runs"]["FunctionName"])
    assert aliases["Http"] in json.dumps(cloud_template.one("AWS::ApiGatewayV2::Integration", "HttpApi/"))


@pytest.mark.parametrize(("stage", "gateways", "proxies", "instances"), [("small", 1, 0, 1), ("large", 2, 1, 2)])
def test_size_of_the_cloud_stages(
    templates: dict[str, Template], stage: str, gateways: int, proxies: int, instances: int
) -> None:
    template = templates[stage]

    assert len(template.of_type("AWS::EC2::NatGateway")) == gateways
    assert len(template.of_type("AWS::RDS::DBProxy")) == proxies
    assert len(template.of_type("AWS::RDS::DBInstance")) == instances
    for name in HANDLERS:
        variables = template.function(name)["Environment"]["Variables"]
        assert ("DATABASE_HOST" in variables) == bool(proxies)


def test_leases_wake_ups_and_connections_are_what_the_stage_says(template: Template) -> None:
    variables = template.function("QueueRunner")["Environment"]["Variables"]
    stage = STAGES[variables["STAGE"]]

    assert (float(variables["LEASE_S"]), float(variables["WAKE_BY_S"])) == (stage.lease_s, stage.wake_by_s)
    for name in HANDLERS:
        size = template.function(name)["Environment"]["Variables"]["POSTGRES_POOL_SIZE"]
        assert int(size) == stage.pool_size_of(name), name
    for name in (
        "log_bytes",
        "postgres_idle_s",
        "postgres_lifetime_s",
        "model_connections",
        "model_connections_per_host",
        "model_dns_ttl_s",
    ):
        assert float(variables[name.upper()]) == getattr(stage, name), name
