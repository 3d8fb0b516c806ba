"""Stage `local` is stage `small` but for a short list: what is tested on a laptop is what is deployed to AWS."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.infra.stage_difference import Difference, differences
from tests.infra.template import Template


@dataclass(frozen=True)
class Allowed:
    """where, path and value are patterns (`*`, `?`; brackets are taken literally) of `Difference`."""

    where: str
    path: str = "*"
    only: str = "*"
    value: str = "*"


CODE = (
    Allowed("AWS::Lambda::Function Properties.Code.S3*"),
    Allowed("Parameters", "CodeRoot", "left"),
    Allowed("Parameters", "BootstrapVersion", "right"),
)
NETWORK = (
    Allowed("AWS::EC2::*", "Network/*", "right"),
    Allowed("AWS::EC2::SecurityGroup*", "Cache/*", "right"),
    Allowed("AWS::EC2::SecurityGroup*", "Database/*", "right"),
    Allowed("AWS::Logs::LogGroup", "Network/FlowLogs/*", "right"),
    Allowed("AWS::IAM::*", "Network/Vpc/Refused/*", "right"),
    Allowed("AWS::Lambda::Function Properties.VpcConfig", "*", "right"),
    Allowed("AWS::Lambda::Function DependsOn[]", "*", "right", '"Network/*'),
    Allowed("AWS::Lambda::EventSourceMapping DependsOn", "*", "right", '["Network/*'),
    Allowed("AWS::Lambda::EventInvokeConfig DependsOn", "*", "right", '["Network/*'),
    Allowed("Custom::Migration DependsOn[]", "*", "right", '"Network/*'),
    Allowed("AWS::IAM::Policy *.Statement[]", "Functions/*", "right", '*"ec2:CreateNetworkInterface"*"Resource": "?"*'),
)
DATA = (
    Allowed("AWS::RDS::*", "Database/*", "right"),
    Allowed("AWS::ElastiCache::ServerlessCache", "Cache/*", "right"),
    Allowed("AWS::SecretsManager::Secret*", "Database/*"),
    Allowed("AWS::SecretsManager::Secret Properties.*", "Secrets/*"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.REDIS_URL.*"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.CONNECTIONS_URL.*"),
    Allowed("Custom::Migration DependsOn[]", "*", "*", '"Database/*'),
    Allowed("AWS::S3::Bucket *Policy", "Storage/Files/*", "both", '["Delete", "Retain"]'),
    Allowed("Parameters", "*Secret", "left"),
    Allowed("Parameters", "*Url", "left"),
    # In the cloud no webhook goes to a private address.
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.WEBHOOK_ALLOWED_PRIVATE", "Functions/*", "left"),
    Allowed("Parameters", "WebhookAllowedPrivate", "left"),
)
SNAP_START = (
    Allowed("AWS::Lambda::Function Properties.SnapStart", "*", "right"),
    Allowed("AWS::Lambda::Version", "Functions/*", "right"),
    Allowed("AWS::Lambda::Alias", "Functions/*", "right"),
)
EDGE = (
    Allowed("AWS::CloudFront::*", "Edge/*", "right"),
    Allowed("Outputs", "BaseUrl", "right"),
    # On a laptop the gateway serves the chat page's folder, and the model's server signs people in.
    Allowed("*", "Page/*", "right"),
    Allowed("Outputs", "PageUrl", "right"),
)
IDENTITY = (
    Allowed("AWS::Cognito::*", "Identity/*", "right"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.JWKS_URL*"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.JWT_*"),
    Allowed("Parameters", "PageClientId", "right"),
    Allowed("Outputs", "UserPoolId", "right"),
    Allowed("Outputs", "Jwt*InUse", "right"),
)
CADENCES = (
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.STAGE"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.LEASE_S"),
    Allowed("AWS::Lambda::Function Properties.Environment.Variables.WAKE_BY_S"),
    Allowed("AWS::Events::Rule Properties.ScheduleExpression"),
    Allowed("AWS::Events::Rule Properties.Targets[]", "*", "*", "*sweep_again_in_s*"),
    Allowed("AWS::StepFunctions::StateMachine *.Retry[]", "*", "*", '*"IntervalSeconds": *'),
    Allowed("AWS::Lambda::Function Properties.ReservedConcurrentExecutions"),
    Allowed("AWS::Lambda::EventSourceMapping Properties.ScalingConfig.MaximumConcurrency"),
    Allowed("AWS::Logs::LogGroup Properties.RetentionInDays"),
)
WORDS = (Allowed("AWS::Lambda::Function Properties.Environment.Variables.SHOWS_PROVIDER_ERRORS"),)
ALLOWED = {
    "code location": CODE,
    "network": NETWORK,
    "data and addresses": DATA,
    "SnapStart": SNAP_START,
    "edge": EDGE,
    "identity": IDENTITY,
    "cadences and sizes": CADENCES,
    "what is told of a provider's error": WORDS,
}


def matches(allowed: Allowed, difference: Difference) -> bool:
    """Whether an entry allows a difference."""
    pairs = (
        (allowed.where, difference.where),
        (allowed.path, difference.path),
        (allowed.only, difference.only),
        (allowed.value, difference.value),
    )
    return all(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern, text in pairs)


def test_local_and_small_differ_only_in_what_is_allowed(templates: dict[str, Template]) -> None:
    found = differences(templates["local"], templates["small"])
    unexplained = set(found)
    report: list[str] = []
    for reason, entries in ALLOWED.items():
        explained = {difference for difference in found if any(matches(entry, difference) for entry in entries)}
        unexplained -= explained
        report.append(f"{reason}: {len(explained)} differences")
        report.extend(f"  {kind}" for kind in sorted({f"{item.where} ({item.only})" for item in explained}))
    print("\n".join(report))  # noqa: T201

    assert not unexplained, "\n".join(map(str, sorted(unexplained)))


def test_no_entry_of_the_list_is_left_over(templates: dict[str, Template]) -> None:
    found = differences(templates["local"], templates["small"])
    entries = [entry for group in ALLOWED.values() for entry in group]

    assert [entry for entry in entries if not any(matches(entry, difference) for difference in found)] == []


def test_a_difference_is_noticed(templates: dict[str, Template]) -> None:
    local = templates["local"]
    changed = Template({**local.body, "Resources": {**local.resources}})
    key = local.logical_id("AWS::SQS::Queue", "Queues/Watch/")
    properties = {**local.resources[key]["Properties"], "MessageRetentionPeriod": 60}
    changed.resources[key] = {**local.resources[key], "Properties": properties}

    assert differences(local, local) == []
    assert [(item.path, item.where) for item in differences(local, changed)] == [
        ("Queues/Watch/Resource", "AWS::SQS::Queue Properties.MessageRetentionPeriod")
    ]
