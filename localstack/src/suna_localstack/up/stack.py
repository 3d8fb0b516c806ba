"""The description of a running stack, as written to ``stack.json``."""

import os
from dataclasses import dataclass, field
from typing import Any

from suna_localstack.services.ports import HOST
from suna_localstack.services.process import Child
from suna_localstack.up.aws_client import REGION
from suna_localstack.up.deployment import STACK_NAME
from suna_localstack.up.folders import Folders
from suna_localstack.up.local_secrets import LocalSecrets


@dataclass
class Part:
    """A supervised child and the port it listens on."""

    name: str
    child: Child
    port: int


@dataclass
class Stack:
    """Everything a client needs to know about the running stack."""

    stack_id: str
    gateway_port: int
    aws_port: int
    model_port: int
    database_url: str
    redis_url: str
    token: str
    secrets: LocalSecrets
    model: str
    template_hash: str = ""
    outputs: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.aws_port}"

    @property
    def model_url(self) -> str:
        return f"http://{HOST}:{self.model_port}"

    def description(self, folders: Folders, processes: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "http_url": self.base_url,
            "page_url": f"{self.base_url}/app/",
            "websocket_url": f"ws://{HOST}:{self.gateway_port}",
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "aws_endpoint_url": self.endpoint_url,
            "model_url": self.model_url,
            "model": self.model,
            "token": self.token,
            "account_id": self.secrets.account_id,
            "jwt_secret": self.secrets.hs256_secret,
            "region": REGION,
            "stack_name": STACK_NAME,
            "stack_id": self.stack_id,
            "template_hash": self.template_hash,
            "outputs": self.outputs,
            "supervisor_pid": os.getpid(),
            "processes": processes,
            "log_dir": str(folders.logs),
        }
