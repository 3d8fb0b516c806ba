"""Values of the template's parameters: everything about this machine that the template must not contain."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from suna_localstack.model.issuer import AUDIENCE, ISSUER
from suna_localstack.up.folders import Folders
from suna_localstack.up.provider import Provider
from suna_localstack.up.stack import Stack

# Parameter -> the user's variable, and what there is without it.
_VARIABLES = {
    # The scripted model costs nothing, and that is known: a plan that bounds money lets no other model answer.
    "ModelPrices": ("MODEL_PRICES", json.dumps({"openai/scripted": {"input": 0, "output": 0}})),
    "McpAllowedPrivate": ("MCP_ALLOWED_PRIVATE", ""),
    "WebhookAllowedPrivate": ("WEBHOOK_ALLOWED_PRIVATE", ""),
}


def database_secret(url: str) -> dict[str, str | int]:
    """A PostgreSQL URL in the shape RDS keeps in Secrets Manager."""
    parts = urlsplit(url)
    secret: dict[str, str | int] = {
        "engine": "postgres",
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 5432,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.lstrip("/")),
    }
    query = dict(parse_qsl(parts.query))
    # libpq's default; the functions' own is `require`, as nothing crosses a network unencrypted in the cloud.
    secret["sslmode"] = query.get("sslmode", "prefer")
    return secret


def page_config(issuer_url: str) -> dict[str, str]:
    """What the chat page is told beside its files: its API is where it is served, its issuer is the model's server."""
    return {
        "apiBase": "",
        "issuer": issuer_url,
        "clientId": AUDIENCE,
        "scope": "openid profile",
        "token": "access_token",
    }


def provider_values(provider: Provider) -> dict[str, str]:
    """The parameters that say which model answers."""
    return {"DefaultModel": provider.model, "ProviderSecret": json.dumps(provider.variables)}


def given_values(given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of which ``given`` says something; of an empty variable, what there is without it."""
    return {
        parameter: given[name].strip() or default for parameter, (name, default) in _VARIABLES.items() if name in given
    }


def changed_variables(before: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    """The variables that have given a parameter another value in ``values``."""
    return [name for parameter, (name, _) in _VARIABLES.items() if values[parameter] != before.get(parameter)]


def parameter_values(folders: Folders, stack: Stack, provider: Provider, given: Mapping[str, str]) -> dict[str, str]:
    """Parameter name -> value, secrets as JSON. ``given``: what the user has said."""
    return {
        "CodeRoot": str(folders.code),
        "DatabaseSecret": json.dumps(database_secret(stack.database_url)),
        "RedisUrl": stack.redis_url,
        "AuthSecret": json.dumps({"hs256_secret": stack.secrets.hs256_secret}),
        "GatewayUrl": stack.base_url,
        **provider_values(provider),
        "JwksUrl": f"{stack.model_url}/jwks.json",
        "JwtIssuer": ISSUER,
        "JwtAudience": AUDIENCE,
        **{parameter: default for parameter, (_, default) in _VARIABLES.items()},
        **given_values(given),
    }
