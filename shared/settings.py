"""The environment, read once and typed. No other module reads ``os.environ``, but to keep its keys out of texts."""

from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What every function is told by its environment (``infra`` sets it, by stage).

    Names end in their unit. A secret is never in the environment: it is named by its ARN and fetched once a process.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    stage: Literal["local", "small", "large"] = "local"
    log_level: str = "INFO"

    database_secret_arn: str
    # RDS Proxy's, where there is one; else the secret says.
    database_host: str = ""
    postgres_pool_size: int = 2
    # Of the pool's connections all but the first are closed when nobody has used them for so long, and each is replaced
    # when it is so old: it would stay where it is when a proxy has more nodes, or the server's memory of it grows.
    postgres_idle_s: float = 300.0
    postgres_lifetime_s: float = 3600.0
    lease_s: float = 30.0
    wake_by_s: float = 60.0


class StreamSettings(BaseSettings):
    """Where events go: the log in Redis, the subscriptions in DynamoDB, the connections of API Gateway."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis_url: str
    subscriptions_table: str
    connections_url: str
    sender_function: str = ""
    # Of events in one thread's log: beyond them its oldest ones go, whoever has not read them is told of a gap.
    log_bytes: int = Field(16 * 2**20, ge=2**20)


class QueueSettings(BaseSettings):
    """Where runs are queued, and the state machine that takes over the long ones."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    runs_queue_url: str
    retry_queue_url: str
    watch_queue_url: str
    workflow_arn: str = ""


class FileSettings(BaseSettings):
    """Where files are kept."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    files_bucket: str


class AuthSettings(BaseSettings):
    """Who may come in: a shared HS256 secret, the keys of an OIDC issuer, or both."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    auth_secret_arn: str = ""
    jwks_url: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""

    @model_validator(mode="after")
    def _one_application(self) -> "AuthSettings":
        if (self.jwks_url or self.jwt_issuer) and not self.jwt_audience:
            raise ValueError(
                "JWT_AUDIENCE is empty: name the audience of the tokens, else those that the issuer makes for any other"
                " application are accepted too"
            )
        return self


class WebhookSettings(BaseSettings):
    """What webhooks are signed with, and which of them may be where no public server is."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    webhook_secret_arn: str = ""
    # Receivers that need neither be public nor speak TLS, as "host:port,host:port": stage local only.
    webhook_allowed_private: str = ""

    @property
    def private_receivers(self) -> list[tuple[str, int]]:
        """The receivers of ``webhook_allowed_private``."""
        return _pairs(self.webhook_allowed_private)


class Price(BaseModel):
    """What a model costs, in US dollars a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)


class ModelSettings(BaseSettings):
    """Which model answers, and the secret that holds the providers' keys."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    default_model: str
    provider_secret_arn: str = ""
    # Providers whose models may be named besides the default model's and those with a key in the secret: what is paid
    # for by the function's role. litellm's names, separated by commas.
    model_providers: str = ""
    # What models cost that litellm has no price for, or another one: {"openai/mine": {"input": 0.5, "output": 1.5}}.
    model_prices: dict[str, Price] = {}
    # Whether a failed run has its provider's own text, scrubbed, behind the sentence that says what to do.
    shows_provider_errors: bool = False
    # Of the model client: connections in all, and to one host; for how long an address that was looked up is good.
    model_connections: int = 100
    model_connections_per_host: int = 30
    model_dns_ttl_s: int = 300
    # Remote MCP servers on private addresses that assistants may use all the same, as "host:port,host:port".
    mcp_allowed_private: str = ""

    @property
    def private_mcp_servers(self) -> list[tuple[str, int]]:
        """The servers of ``mcp_allowed_private``."""
        return _pairs(self.mcp_allowed_private)


def _pairs(text: str) -> list[tuple[str, int]]:
    pairs = [server.strip().rpartition(":") for server in text.split(",") if server.strip()]
    return [(host, int(port)) for host, _, port in pairs]


class RuntimeSettings(BaseSettings):
    """What the Lambda runtime tells of itself. ``aws_lambda_initialization_type`` is empty outside of it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    aws_lambda_initialization_type: str = ""

    @property
    def connects_at_init(self) -> bool:
        """Whether connections may be opened while the function initialises: a snapshot would restore them dead."""
        return self.aws_lambda_initialization_type not in {"", "snap-start"}


@cache
def settings() -> Settings:
    """The settings that every function has."""
    return Settings()  # pyright: ignore[reportCallIssue]


@cache
def stream_settings() -> StreamSettings:
    """The settings of functions that publish or deliver events."""
    return StreamSettings()  # pyright: ignore[reportCallIssue]


@cache
def queue_settings() -> QueueSettings:
    """The settings of functions that queue runs."""
    return QueueSettings()  # pyright: ignore[reportCallIssue]


@cache
def file_settings() -> FileSettings:
    """The settings of functions that give out, take or show files."""
    return FileSettings()  # pyright: ignore[reportCallIssue]


@cache
def auth_settings() -> AuthSettings:
    """The settings of functions that let clients in."""
    return AuthSettings()


@cache
def webhook_settings() -> WebhookSettings:
    """The settings of functions that accept or deliver webhooks."""
    return WebhookSettings()


@cache
def model_settings() -> ModelSettings:
    """The settings of functions that call models."""
    return ModelSettings()  # pyright: ignore[reportCallIssue]
