"""The control plane: what CloudFormation makes, what the API's own operations change, what a deployment freezes."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from botocore.exceptions import ClientError

from tests.localstack.gateway.conftest import HERE, STACK, Deployed, client, until
from tests.localstack.gateway.stack import template


def test_references_and_attributes(deployed: Deployed) -> None:
    outputs = deployed.outputs
    assert outputs["HttpId"] == outputs["HttpIdAttribute"]
    assert outputs["WebSocketEndpoint"] == f"wss://{outputs['WebSocketId']}.execute-api.us-east-1.amazonaws.com"
    assert outputs["StageName"] == "test"


def test_resources_are_what_the_template_says(deployed: Deployed) -> None:
    api = client("apigatewayv2", deployed.endpoint_url)
    http_api = api.get_api(ApiId=deployed.outputs["HttpId"])
    assert http_api["CorsConfiguration"]["AllowOrigins"] == ["https://app.example"]
    assert http_api["Tags"]["team"] == "suna"
    assert http_api["Tags"]["aws:cloudformation:stack-name"] == STACK
    keys = {route["RouteKey"] for route in api.get_routes(ApiId=deployed.outputs["WebSocketId"])["Items"]}
    assert keys == {"$connect", "$disconnect", "$default", "notify", "short"}
    stages = {stage["StageName"]: stage for stage in api.get_stages(ApiId=deployed.outputs["HttpId"])["Items"]}
    assert stages["$default"]["AutoDeploy"] is True
    assert stages["throttled"]["DefaultRouteSettings"] == {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}
    authorizers = api.get_authorizers(ApiId=deployed.outputs["HttpId"])["Items"]
    assert [authorizer["Name"] for authorizer in authorizers] == ["authorizer"]


async def test_a_stage_without_automatic_deployment_serves_what_was_deployed(
    gateway: str, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    api = client("apigatewayv2", deployed.endpoint_url)
    arn = client("lambda", deployed.endpoint_url).list_functions()["Functions"]
    function = next(item["FunctionArn"] for item in arn if "HttpFunction" in item["FunctionName"])
    api_id = api.create_api(Name="manual", ProtocolType="HTTP")["ApiId"]

    async def status(path: str) -> int:
        async with http.get(f"{gateway}/@http/{api_id}/manual{path}") as response:
            return response.status

    async def becomes(path: str, wanted: int) -> None:
        got: int | None = None
        for _ in range(250):
            if (got := await status(path)) == wanted:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{path} still answers {got}, not {wanted}")

    integration = api.create_integration(
        ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
    )
    target = f"integrations/{integration['IntegrationId']}"
    api.create_route(ApiId=api_id, RouteKey="GET /a", Target=target)
    api.create_stage(ApiId=api_id, StageName="manual")
    await becomes("/a", 404)
    first = api.create_deployment(ApiId=api_id, StageName="manual")["DeploymentId"]
    await becomes("/a", 200)
    api.create_route(ApiId=api_id, RouteKey="GET /b", Target=target)
    assert await status("/b") == 404
    second = api.create_deployment(ApiId=api_id)["DeploymentId"]
    updated = api.update_stage(ApiId=api_id, StageName="manual", DeploymentId=second, StageVariables={"v": "2"})
    assert (updated["DeploymentId"], updated["StageVariables"]) == (second, {"v": "2"})
    await becomes("/b", 200)
    assert {item["DeploymentId"] for item in api.get_deployments(ApiId=api_id)["Items"]} == {first, second}
    api.delete_deployment(ApiId=api_id, DeploymentId=first)
    with pytest.raises(ClientError, match="Active stages"):
        api.delete_deployment(ApiId=api_id, DeploymentId=second)
    api.delete_api(ApiId=api_id)
    await becomes("/b", 404)


def test_errors_are_the_apis_own(deployed: Deployed) -> None:
    api = client("apigatewayv2", deployed.endpoint_url)
    with pytest.raises(api.exceptions.NotFoundException):
        api.get_api(ApiId="unknown")
    with pytest.raises(api.exceptions.NotFoundException):
        api.get_stage(ApiId=deployed.outputs["HttpId"], StageName="unknown")
    with pytest.raises(api.exceptions.ConflictException):
        api.create_stage(ApiId=deployed.outputs["HttpId"], StageName="$default")
    with pytest.raises(api.exceptions.BadRequestException, match="JWT"):
        api.create_authorizer(
            ApiId=deployed.outputs["HttpId"], AuthorizerType="JWT", IdentitySource=["$request.header.A"], Name="jwt"
        )


async def test_a_stack_is_updated_in_place_and_deleted(
    gateway: str, deployed: Deployed, http: aiohttp.ClientSession
) -> None:
    cloudformation = client("cloudformation", deployed.endpoint_url)
    name = "gateway-update"

    async def deploy(operation: str, variable: str, *, item_key: str) -> str:
        body = template(code=str(HERE / "functions"), environment={}, stage_variable=variable)
        body["Resources"]["HttpItem"]["Properties"]["RouteKey"] = item_key
        wanted = ("Http", "HttpFunction", "HttpIntegration", "HttpDefault", "HttpItem", "HttpStage")
        body["Resources"] = {key: body["Resources"][key] for key in wanted}
        body["Outputs"] = {"Id": body["Outputs"]["HttpId"]}
        getattr(cloudformation, f"{operation}_stack")(StackName=name, TemplateBody=json.dumps(body))
        waiter = cloudformation.get_waiter(f"stack_{operation}_complete")
        await asyncio.to_thread(waiter.wait, StackName=name, WaiterConfig={"Delay": 1})
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]

    api_id = await deploy("create", "one", item_key="GET /items/{id}")
    assert await deploy("update", "two", item_key="GET /things/{id}") == api_id
    async with http.get(f"{gateway}/@http/{api_id}/things/1/echo") as response:
        assert (await response.json())["stageVariables"] == {"name": "two"}
    async with http.get(f"{gateway}/@http/{api_id}/things/1") as response:
        assert (await response.text()) == 'GET /things/{id} {"id": "1"}'
    async with http.get(f"{gateway}/@http/{api_id}/items/1") as response:
        assert (await response.text()) == "$default null"
    cloudformation.delete_stack(StackName=name)
    api = client("apigatewayv2", deployed.endpoint_url)
    await until(lambda: api_id not in {item["ApiId"] for item in api.get_apis()["Items"]})


def test_concurrent_changes_are_all_kept(deployed: Deployed) -> None:
    api = client("apigatewayv2", deployed.endpoint_url)
    with ThreadPoolExecutor(16) as threads:
        created = list(threads.map(lambda n: api.create_api(Name=f"c{n}", ProtocolType="HTTP")["ApiId"], range(48)))
        assert set(created) <= {item["ApiId"] for item in api.get_apis()["Items"]}
        list(threads.map(lambda api_id: api.delete_api(ApiId=api_id), created))
    assert not set(created) & {item["ApiId"] for item in api.get_apis()["Items"]}
