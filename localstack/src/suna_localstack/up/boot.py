"""From nothing to an answering stack, phase by phase; what does not depend on each other runs at the same time."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass

from suna_localstack.model.issuer import shared_secret_token
from suna_localstack.services import redis_install
from suna_localstack.services.ports import free_port, is_open
from suna_localstack.services.postgres import start_postgres
from suna_localstack.services.process import Child, Command
from suna_localstack.services.redis import find_binary, start_redis
from suna_localstack.up import code_folders, synthesis
from suna_localstack.up.aws import load_services, start_aws
from suna_localstack.up.deployment import Deployment, template_hash
from suna_localstack.up.files import locked, write_json
from suna_localstack.up.folders import Folders
from suna_localstack.up.local_plan import give_local_plan
from suna_localstack.up.local_secrets import local_secrets
from suna_localstack.up.parameters import page_config, parameter_values
from suna_localstack.up.progress import Progress
from suna_localstack.up.provider import choose
from suna_localstack.up.stack import Part, Stack
from suna_localstack.up.surroundings import Wishes, find_uv, servers_environment, settings
from suna_localstack.up.tasks import run_task
from suna_localstack.up.warmup import warm_up


async def start_model(folders: Folders, *, env: dict[str, str], port: int | None = None) -> Part:
    """Start the scripted model and the token issuer."""
    port = port or free_port()
    argv = [sys.executable, "-m", "suna_localstack.model", "--port", str(port)]
    argv += ["--key-file", str(folders.state / "issuer.pem")]
    child = await Child.start(Command(name="model", argv=argv, log=folders.log("model"), env=env))

    async def listens() -> bool:
        return is_open(port)

    try:
        await child.ready(listens, timeout_s=30)
    except BaseException:
        await child.stop()
        raise
    return Part("model", child, port)


@dataclass
class Boot:
    """One start of the stack.

    Args:
        started: told of each child as soon as it is ready, so that it is supervised and found again after a crash.
        env: the environment of every child, with the mark of this stack.
    """

    folders: Folders
    stack_id: str
    wishes: Wishes
    env: dict[str, str]
    progress: Progress
    started: Callable[[Part], None]

    async def postgres(self) -> str:
        if self.wishes.database_url:
            return self.wishes.database_url
        return await self.restart_postgres(None)

    async def restart_postgres(self, port: int | None) -> str:
        server = await start_postgres(
            self.folders.state / "postgres", log=self.folders.log("postgres"), marks=self.env, port=port
        )
        self.started(Part("postgres", server.child, server.port))
        return server.url

    async def redis(self) -> str:
        if self.wishes.redis_url:
            return self.wishes.redis_url
        await self._install_redis()
        return await self.restart_redis(None)

    async def _install_redis(self) -> None:
        async with locked(self.folders.shared / "redis.lock"):
            if not redis_install.is_needed(self.folders.redis):
                return
            with self.progress.phase("Redis") as detail:
                detail.append("installed; compiled the first time")
                await run_task(
                    "compiling Redis",
                    redis_install.install_command(
                        self.folders.redis, uv=find_uv(self.folders), python=self.folders.dev_python
                    ),
                    log=self.folders.log("redis-install"),
                    env=self.env,
                    cwd=self.folders.root,
                )

    async def restart_redis(self, port: int | None) -> str:
        return await self._start_redis("redis", port=port, cluster=True)

    async def plain_redis(self) -> str:
        """An ordinary Redis besides: nothing of the stack uses it."""
        await self._install_redis()
        return await self._start_redis("plain-redis", port=None, cluster=False)

    async def _start_redis(self, name: str, *, port: int | None, cluster: bool) -> str:
        server = await start_redis(
            self.folders.state / name,
            server=find_binary(self.folders.redis) or self.folders.redis,
            log=self.folders.log(name),
            marks=self.env,
            port=port,
            cluster=cluster,
        )
        self.started(Part(name, server.child, server.port))
        return server.url

    async def restart_model(self, port: int | None) -> int:
        part = await start_model(self.folders, env=self.env, port=port)
        self.started(part)
        return part.port

    async def _services(self) -> tuple[str, str]:
        with self.progress.phase("services") as detail:
            async with asyncio.TaskGroup() as group:
                postgres = group.create_task(self.postgres())
                redis = group.create_task(self.redis())
            detail.append("your PostgreSQL" if self.wishes.database_url else "PostgreSQL 18")
            detail.append("your Redis" if self.wishes.redis_url else "Redis (one-node cluster)")
        return postgres.result(), redis.result()

    async def _model(self) -> int:
        with self.progress.phase("model") as detail:
            port = await self.restart_model(None)
            detail.append(settings(self.folders).get("MODEL") or "scripted")
        return port

    async def _aws(self) -> int:
        with self.progress.phase("LocalStack") as detail:
            aws = await start_aws(
                self.folders.state / "localstack",
                logs=self.folders.logs,
                gateway_port=self.wishes.port,
                env={
                    **self.env,
                    "SUNA_GATEWAY_PAGE_FOLDER": str(self.folders.page),
                    "SUNA_GATEWAY_PAGE_CONFIG": str(self.folders.page_config),
                },
            )
            self.started(Part("localstack", aws.child, aws.port))
            await load_services(aws.endpoint_url)
            detail.append(aws.endpoint_url)
        return aws.port

    async def _synthesis(self) -> None:
        with self.progress.phase("synth") as detail:
            made = await synthesis.synthesize(self.folders, env=self.env, log=self.folders.log("synth"))
            detail.append("made" if made else "unchanged")

    async def _code(self) -> None:
        with self.progress.phase("code") as detail:
            made = await code_folders.prepare_code(self.folders, env=self.env, log=self.folders.log("code"))
            detail.append(f"installed {', '.join(made)}" if made else "unchanged")

    async def run(self) -> Stack:
        """Boot, deploy and warm up.

        Raises:
            ExceptionGroup: of the errors of the phases that failed; the children it started are still registered.
        """
        async with asyncio.TaskGroup() as group:
            services = group.create_task(self._services())
            model = group.create_task(self._model())
            aws = group.create_task(self._aws())
            group.create_task(self._synthesis())
            group.create_task(self._code())
        database_url, redis_url = services.result()
        secrets = local_secrets(self.folders)
        provider = choose(settings(self.folders), f"http://127.0.0.1:{model.result()}")
        stack = Stack(
            stack_id=self.stack_id,
            gateway_port=self.wishes.port,
            aws_port=aws.result(),
            model_port=model.result(),
            database_url=database_url,
            redis_url=redis_url,
            token=shared_secret_token(secrets.account_id, secrets.hs256_secret),
            secrets=secrets,
            model=provider.model,
        )
        write_json(self.folders.page_config, page_config(stack.model_url))
        with self.progress.phase("deploy") as detail:
            values = parameter_values(self.folders, stack, provider, settings(self.folders))
            write_json(self.folders.parameters_file, values)
            write_json(self.folders.environment_file, servers_environment())
            deployment = await asyncio.to_thread(Deployment, stack.endpoint_url)
            deployed = await asyncio.to_thread(deployment.deploy, self.folders.template, values)
            stack.template_hash = template_hash(self.folders.template)
            stack.outputs = deployed.outputs
            await give_local_plan(database_url, account_id=secrets.account_id)
            detail.append(deployed.action)
        with self.progress.phase("warm-up"):
            await warm_up(
                base_url=stack.base_url, endpoint_url=stack.endpoint_url, token=stack.token, outputs=stack.outputs
            )
        return stack
