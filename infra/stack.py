"""The stack: puts the constructs together, in the order in which they need each other."""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnOutput, CfnParameter, DefaultStackSynthesizer, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.bundling import native_machine
from infra.constructs.apis import HttpEndpoint, WebSocketEndpoint
from infra.constructs.cache import Cache
from infra.constructs.code import Bundles, CodeSource, HotReload
from infra.constructs.database import Database, GivenDatabase
from infra.constructs.deploy_step import DeployStep, catalogue_hash, migrations_hash
from infra.constructs.edge import Edge
from infra.constructs.functions import FUNCTIONS, Functions, Use
from infra.constructs.identity import Given, Identity
from infra.constructs.network import Network
from infra.constructs.page import Page
from infra.constructs.permissions import Resources, function_arn, grant, workflow_arn
from infra.constructs.queues import Queues
from infra.constructs.retention import retention
from infra.constructs.secrets import Secrets
from infra.constructs.storage import Storage
from infra.constructs.workflow import Workflow
from infra.stages import Stage

LAMBDA_MACHINE = "aarch64"


class SunaStack(Stack):
    """Everything of one stage.

    Stage `local` takes from parameters what the cloud's stages create (database, Redis, secrets, addresses), so that
    its template names nothing of the machine that it is deployed on and need not be synthesized again for another.
    """

    def __init__(self, scope: Construct, *, stage: Stage, bundled: bool) -> None:
        """bundled: upload bundles; else LocalStack runs the code where it is (stage `local` only)."""
        name = f"suna-{stage.name}"
        super().__init__(
            scope,
            name,
            stack_name=name,
            description="Suna: a serverless backend for AI agents",
            analytics_reporting=False,
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=stage.cloud is not None),
        )
        cors_origins = CfnParameter(
            self,
            "CorsOrigins",
            type="CommaDelimitedList",
            default="*",
            description="Origins whose pages may call the API; tokens travel in headers, never in cookies",
        )
        jwks = self._text("JwksUrl", "Keys of the OIDC issuer whose tokens are accepted")
        # In the cloud the stack has a user pool of its own, unless another issuer is named.
        default = "suna" if stage.cloud is None else ""
        issuer = self._text("JwtIssuer", "Issuer (iss) that tokens must have", default)
        private_mcp = self._text("McpAllowedPrivate", "MCP servers on private addresses: host:port,host:port")
        audience = self._text("JwtAudience", "Audience (aud) that tokens must have", default)
        accepted = {
            "JWKS_URL": jwks.value_as_string,
            "JWT_ISSUER": issuer.value_as_string,
            "JWT_AUDIENCE": audience.value_as_string,
        }

        network: Network | None = None
        identity: Identity | None = None
        gateway_url: CfnParameter | None = None
        if stage.cloud is None:
            gateway_url = self._text("GatewayUrl", "Where the local gateway serves, e.g. http://127.0.0.1:8000")
            database = GivenDatabase(self, "Database", secret=self._secret("DatabaseSecret")).access
            redis_url = self._text("RedisUrl", "Redis, e.g. redis://127.0.0.1:6379").value_as_string
            secrets = Secrets(self, "Secrets", auth=self._secret("AuthSecret"), provider=self._secret("ProviderSecret"))
        else:
            network = Network(self, "Network", settings=stage.cloud, retention=retention(stage.log_retention_days))
            database = Database(self, "Database", settings=stage.cloud.database, network=network).access
            redis_url = Cache(self, "Cache", name=name, settings=stage.cloud, network=network).url
            secrets = Secrets(self, "Secrets")
            client = self._text("PageClientId", "Id of the chat page at the issuer named by JwtIssuer")
            identity = Identity(
                self,
                "Identity",
                name=name,
                given=Given(jwks_url=jwks, issuer=issuer, audience=audience, client=client),
                keep=stage.cloud.database.deletion_protection,
            )
            accepted = {
                "JWKS_URL": identity.jwks_url,
                "JWT_ISSUER": identity.issuer,
                "JWT_AUDIENCE": identity.audience,
            }

        storage = Storage(self, "Storage", keep_files=stage.cloud is not None, cors_origins=cors_origins)
        queues = Queues(self, "Queues", stage=stage)
        websocket = WebSocketEndpoint(self, "WebSocketApi", stage=stage, gateway_url=gateway_url)
        workflow_name = f"{name}-run"
        sender_name = f"{name}-sender"

        everywhere = {
            "STAGE": stage.name,
            "LOG_LEVEL": stage.log_level,
            "LEASE_S": str(stage.lease_s),
            "WAKE_BY_S": str(stage.wake_by_s),
            "POSTGRES_IDLE_S": str(stage.postgres_idle_s),
            "LOG_BYTES": str(stage.log_bytes),
            "POSTGRES_LIFETIME_S": str(stage.postgres_lifetime_s),
            "DATABASE_SECRET_ARN": database.secret.secret_arn,
            **({"DATABASE_HOST": database.host} if database.host else {}),
            "REDIS_URL": redis_url,
            **self._models(stage),
            "RUNS_QUEUE_URL": queues.runs.queue_url,
            "RETRY_QUEUE_URL": queues.retry.queue_url,
            "WATCH_QUEUE_URL": queues.watch.queue_url,
            "SUBSCRIPTIONS_TABLE": storage.subscriptions.table_name,
            "CONNECTIONS_URL": websocket.connections_url,
            "WORKFLOW_ARN": workflow_arn(self, workflow_name),
            "SENDER_FUNCTION": sender_name,
            **self._private_receivers(stage),
        }
        code = self._code(bundled=bundled, stage=stage)
        functions = Functions(
            self,
            "Functions",
            stage=stage,
            code=code,
            environment={
                None: everywhere,
                Use.FILES: {"FILES_BUCKET": storage.files.bucket_name},
                Use.READ_FILES: {"FILES_BUCKET": storage.files.bucket_name},
                Use.REMOVE_FILES: {"FILES_BUCKET": storage.files.bucket_name},
                Use.AUTH: {
                    "AUTH_SECRET_ARN": secrets.auth.secret_arn,
                    **accepted,
                },
                Use.WEBHOOKS: {"WEBHOOK_SECRET_ARN": secrets.webhooks.secret_arn},
                Use.PROVIDER: {
                    "PROVIDER_SECRET_ARN": secrets.provider.secret_arn,
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                    "MCP_ALLOWED_PRIVATE": private_mcp.value_as_string,
                },
            },
            network=network,
            names={"Sender": sender_name},
        )
        grant(
            functions,
            Resources(
                database_secret=database.secret,
                auth_secret=cast("secretsmanager.ISecret", secrets.auth),
                provider_secret=cast("secretsmanager.ISecret", secrets.provider),
                webhook_secret=cast("secretsmanager.ISecret", secrets.webhooks),
                queues=queues,
                storage=storage,
                websocket=websocket,
                workflow_arn=workflow_arn(self, workflow_name),
                sender_arn=function_arn(self, sender_name),
            ),
        )
        functions.connect_queues(queues, stage=stage)
        queues.schedule_sweep(every_min=stage.sweep_every_min)
        websocket.connect(functions["WebSocket"].target)
        http = HttpEndpoint(
            self,
            "HttpApi",
            stage=stage,
            function=functions["Http"].target,
            cors_origins=cors_origins,
            gateway_url=gateway_url,
        )
        workflow = Workflow(
            self,
            "Workflow",
            name=workflow_name,
            stage=stage,
            runner=functions["WorkflowRunner"].target,
            summarizer=functions["Summarizer"].target,
        )
        reachable = [network.internet] if network else []
        migration = DeployStep(
            self,
            "Migration",
            function=cast("lambda_.IFunction", functions["Migrate"].function),
            files_hash=migrations_hash(),
            after=[*database.ready, *reachable],
        )
        DeployStep(
            self,
            "Catalogue",
            function=functions["QueueRunner"].target,
            files_hash=catalogue_hash(),
            after=[migration],
        )

        outputs = {
            "HttpApiId": http.api.api_id,
            "HttpApiUrl": http.url,
            "WebSocketApiId": websocket.api.api_id,
            "WebSocketUrl": websocket.url,
            "ConnectionsUrl": websocket.connections_url,
            "RunsQueueUrl": queues.runs.queue_url,
            "RetryQueueUrl": queues.retry.queue_url,
            "WatchQueueUrl": queues.watch.queue_url,
            "WorkflowArn": workflow.state_machine.state_machine_arn,
            "SubscriptionsTable": storage.subscriptions.table_name,
            "FilesBucket": storage.files.bucket_name,
            "AuthSecretArn": secrets.auth.secret_arn,
            "ProviderSecretArn": secrets.provider.secret_arn,
            **{f"{key}FunctionName": functions[key].function.function_name for key in FUNCTIONS},
        }
        if identity is not None:
            page = Page(self, "Page", stage=stage, code=code.of("api"), config=identity.page_config)
            edge = Edge(self, "Edge", http=http, websocket=websocket, page=page.bucket)
            identity.allow_page(edge.page_url)
            outputs |= {
                "BaseUrl": edge.url,
                "PageUrl": edge.page_url,
                "UserPoolId": identity.user_pool_id,
                "JwtIssuerInUse": identity.issuer,
                "JwtAudienceInUse": identity.audience,
            }
        for key, value in outputs.items():
            CfnOutput(self, key, value=value)

    def _private_receivers(self, stage: Stage) -> dict[str, str]:
        if stage.cloud is not None:
            return {}
        receivers = self._text("WebhookAllowedPrivate", "Receivers of webhooks on private addresses: host:port,...")
        return {"WEBHOOK_ALLOWED_PRIVATE": receivers.value_as_string}

    def _models(self, stage: Stage) -> dict[str, str]:
        model = self._text("DefaultModel", "Model of runs that name none, as litellm spells it", "openai/gpt-4o-mini")
        form = '{"openai/mine": {"input": 0.5, "output": 1.5}}'
        prices = self._text("ModelPrices", f"What models cost, in US dollars a million tokens: {form}", "{}")
        return {
            "DEFAULT_MODEL": model.value_as_string,
            "MODEL_PROVIDERS": stage.model_providers,
            "MODEL_PRICES": prices.value_as_string,
            "MODEL_CONNECTIONS": str(stage.model_connections),
            "MODEL_CONNECTIONS_PER_HOST": str(stage.model_connections_per_host),
            "MODEL_DNS_TTL_S": str(stage.model_dns_ttl_s),
            "SHOWS_PROVIDER_ERRORS": str(stage.shows_provider_errors).lower(),
        }

    def _text(self, name: str, description: str, default: str = "") -> CfnParameter:
        return CfnParameter(self, name, type="String", default=default, description=description)

    def _secret(self, name: str) -> CfnParameter:
        return CfnParameter(self, name, type="String", no_echo=True, description="JSON, kept in Secrets Manager")

    def _code(self, *, bundled: bool, stage: Stage) -> CodeSource:
        if stage.cloud is not None:
            return Bundles(machine=LAMBDA_MACHINE)
        if bundled:
            return Bundles(machine=native_machine())
        root = CfnParameter(
            self, "CodeRoot", type="String", description="Absolute path of the folder that holds each group's code"
        )
        return HotReload(self, root=root)
