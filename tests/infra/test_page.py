"""The chat page in the cloud: who may read its files, who signs people in, what the page is told."""

import json
from pathlib import Path

from infra.constructs.page import page_hash
from tests.infra.template import Template


def test_only_the_edge_reads_the_page_and_nobody_lists_it(cloud_template: Template) -> None:
    bucket = cloud_template.logical_id("AWS::S3::Bucket", "Page/Bucket/")
    policies = [
        statement
        for policy in cloud_template.of_type("AWS::S3::BucketPolicy").values()
        if policy["Bucket"] == {"Ref": bucket}
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]

    assert [statement["Action"] for statement in policies] == ["s3:GetObject"]
    assert policies[0]["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert "AWS:SourceArn" in policies[0]["Condition"]["StringEquals"]


def test_the_publisher_writes_the_page_and_reads_its_archive(cloud_template: Template) -> None:
    actions = [
        statement["Action"] for path, statement in cloud_template.statements() if path.startswith("Page/Publisher/")
    ]

    assert sorted(map(str, actions)) == [
        "['logs:CreateLogStream', 'logs:PutLogEvents']",
        "s3:GetObject",
        "s3:PutObject",
    ]
    assert "VpcConfig" not in cloud_template.one("AWS::Lambda::Function", "Page/Publisher/")


def test_the_edge_serves_the_page_beside_the_apis(cloud_template: Template) -> None:
    distribution = cloud_template.one("AWS::CloudFront::Distribution")["DistributionConfig"]

    (behaviour,) = distribution["CacheBehaviors"]
    assert behaviour["PathPattern"] == "/app/*"
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    assert "ResponseHeadersPolicyId" in behaviour


def test_people_sign_in_by_a_code_and_the_page_has_no_secret(cloud_template: Template) -> None:
    client = cloud_template.one("AWS::Cognito::UserPoolClient")

    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]
    assert json.dumps(client["CallbackURLs"]).count("/app/") == 1
    pool = cloud_template.one("AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_the_page_and_the_api_are_told_the_same_issuer(cloud_template: Template) -> None:
    config = cloud_template.one("Custom::Page")["Config"]
    variables = cloud_template.function("Http")["Environment"]["Variables"]

    assert config["issuer"] == variables["JWT_ISSUER"]
    assert set(config) == {"apiBase", "issuer", "clientId", "scope", "token"}
    # The user pool's own, unless the deployment names another issuer.
    condition = variables["JWT_ISSUER"]["Fn::If"][0]
    assert cloud_template.body["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}]}
    assert config["token"]["Fn::If"][1:] == ["access_token", "id_token"]


def test_an_issuer_without_its_audience_or_keys_is_refused_before_anything_is_made(cloud_template: Template) -> None:
    def is_set(parameter: str) -> object:
        return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}

    [rule] = [
        rule for rule in cloud_template.body["Rules"].values() if rule.get("RuleCondition") == is_set("JwtIssuer")
    ]
    assert [one["Assert"] for one in rule["Assertions"]] == [is_set("JwtAudience"), is_set("JwksUrl")]


def test_the_page_is_published_when_a_file_changes_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("one")
    before = page_hash(tmp_path)
    assert page_hash(tmp_path) == before
    (tmp_path / "index.html").write_text("two")
    assert page_hash(tmp_path) != before
