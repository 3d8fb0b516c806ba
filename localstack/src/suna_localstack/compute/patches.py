"""Patches of LocalStack's Lambda service."""

import base64
from collections.abc import Callable

from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker
from localstack.services.lambda_.event_source_mapping.esm_worker_factory import EsmWorkerFactory
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment
from localstack.services.lambda_.invocation.lambda_models import Invocation, InvocationResult
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.aws.arns import parse_arn

from suna_localstack.compute.event_source import sqs_worker
from suna_localstack.compute.executor import ProcessExecutor
from suna_localstack.patching import replace


def pass_client_context() -> None:
    """Give the executor the client context, which LocalStack drops on the way."""

    @replace(ExecutionEnvironment.invoke)
    def _invoke(
        invoke: Callable[[ExecutionEnvironment, Invocation], InvocationResult],
        self: ExecutionEnvironment,
        invocation: Invocation,
    ) -> InvocationResult:
        if invocation.client_context is not None and isinstance(self.runtime_executor, ProcessExecutor):
            self.runtime_executor.client_context = base64.b64decode(invocation.client_context).decode()
        return invoke(self, invocation)


def poll_queues_concurrently() -> None:
    """Use this package's poller for mappings of SQS queues."""

    @replace(EsmWorkerFactory.get_esm_worker)
    def _get_esm_worker(get_esm_worker: Callable[[EsmWorkerFactory], EsmWorker], self: EsmWorkerFactory) -> EsmWorker:
        source_arn = self.esm_config.get("EventSourceArn")
        if source_arn and parse_arn(source_arn)["service"] == "sqs":
            return sqs_worker(self.esm_config, enabled=self.enabled)
        return get_esm_worker(self)


def stop_at_once() -> None:
    """Leave each function's threads to end with the process: LocalStack would wait for them, one after the other."""

    def stop(self: LambdaService) -> None:
        self.task_executor.shutdown(wait=False, cancel_futures=True)
        self.assignment_service.provisioning_pool.shutdown(wait=False, cancel_futures=True)

    LambdaService.stop = stop
