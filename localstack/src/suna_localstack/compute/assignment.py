"""Which execution environment an invocation gets: LocalStack's assignment service, with a limit on starts.

LocalStack starts an environment for each invocation that finds none free, all of them at once, and the invocation
waits for that very one. AWS has machines for it. On a laptop, fifty that start at once take minutes, each of them.
"""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment, InvalidStatusException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InitializationType

from suna_localstack.patching import replace

LOG = logging.getLogger(__name__)

STARTS_AT_ONCE = os.process_cpu_count() or 1
"""Environments of one function version that start at the same time: a start is the processor's work."""


@dataclass
class _Version:
    waiting: int = 0
    starting: int = 0
    failed: list[Exception] = field(default_factory=list[Exception])


class Assignments:
    """An invocation takes whatever is free first: an environment that another has left, or one that has started."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._versions: defaultdict[str, _Version] = defaultdict(_Version)

    @contextmanager
    def environment(
        self, service: AssignmentService, version_id: str, function: FunctionVersion
    ) -> Generator[ExecutionEnvironment]:
        """An environment for one invocation; whoever fails to start one fails one invocation.

        Raises
        ------
        localstack.services.lambda_.invocation.assignment.AssignmentException
            It could not be started.
        """
        found = self._wait(service, version_id, function)
        try:
            yield found
            found.release()
        except InvalidStatusException as error:
            LOG.error("Environment %s is not as it was left: %s", found.id, error)
        except Exception:
            service.stop_environment(found)
            raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _wait(self, service: AssignmentService, version_id: str, function: FunctionVersion) -> ExecutionEnvironment:
        with self._changed:
            version = self._versions[version_id]
            version.waiting += 1
            try:
                while (found := _reserved(service, version_id)) is None:
                    if version.failed:
                        raise version.failed.pop()
                    if version.starting < min(version.waiting, STARTS_AT_ONCE):
                        version.starting += 1
                        arguments = (service, version_id, function)
                        threading.Thread(target=self._start, args=arguments, name="environment-start").start()
                    self._changed.wait()
            finally:
                version.waiting -= 1
                if not version.waiting:
                    version.failed.clear()
        return found

    def _start(self, service: AssignmentService, version_id: str, function: FunctionVersion) -> None:
        started: ExecutionEnvironment | Exception
        try:
            started = service.start_environment(version_id, function)
            # Nobody may come for it; from its first release on, LocalStack stops what is idle for too long.
            started.reserve()
            started.release()
        except Exception as error:
            started = error
        with self._changed:
            version = self._versions[version_id]
            version.starting -= 1
            if isinstance(started, ExecutionEnvironment):
                service.environments[version_id][started.id] = started
            elif version.waiting:
                version.failed.append(started)
            self._changed.notify_all()


def _reserved(service: AssignmentService, version_id: str) -> ExecutionEnvironment | None:
    # LocalStack removes environments from the dictionary without our lock.
    for environment in list(service.environments[version_id].values()):
        if environment.initialization_type == InitializationType.on_demand:
            try:
                environment.reserve()
            except InvalidStatusException:
                continue
            return environment
    return None


def patch() -> None:
    """Assign environments on demand this way; provisioned ones stay LocalStack's."""
    assignments = Assignments()

    @replace(AssignmentService.get_environment)
    def _get_environment(
        get_environment: Callable[..., AbstractContextManager[ExecutionEnvironment]],
        self: AssignmentService,
        version_manager_id: str,
        function_version: FunctionVersion,
        provisioning_type: InitializationType,
    ) -> Any:
        if provisioning_type == InitializationType.on_demand:
            return assignments.environment(self, version_manager_id, function_version)
        return get_environment(self, version_manager_id, function_version, provisioning_type)
