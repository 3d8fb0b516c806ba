"""What LocalStack would load with its first requests, loaded while others still start."""

import os
import sys
import threading
import time
from pathlib import Path

from localstack.aws import spec
from localstack.services.plugins import SERVICE_PLUGINS, ServicePluginManager
from localstack.utils.sync import SynchronizedDefaultDict

from localstack import config

_IN_ORDER_OF_USE = (
    "sts",
    "s3",
    "cloudformation",
    "secretsmanager",
    "sqs",
    "dynamodb",
    "iam",
    "lambda",
    "logs",
    "apigatewayv2",
    "stepfunctions",
    "ssm",
    "events",
)


def share_service_index() -> None:
    """Keep the index of all AWS services in the environment's folder: it takes seconds to build, for each new state."""
    config.dirs.static_libs = str(Path(sys.prefix, "share", "localstack"))


def load_one_service_at_a_time(services: ServicePluginManager = SERVICE_PLUGINS) -> None:
    """Give all services one lock to be loaded under, where the original has one for each.

    moto's packages import their own parts: of two threads, one that loads the package and one that loads a part, each
    waits for the other. Python lets one fail with "deadlock detected"; its service would stay broken.
    """
    lock = threading.RLock()
    services._plugin_load_locks = SynchronizedDefaultDict(lambda: lock)  # pyright: ignore[reportPrivateUsage]


def load_services() -> None:
    """Load the index and the services of a deployment, one after the other."""
    _build_service_index()
    spec.get_service_catalog()
    for service in _IN_ORDER_OF_USE:
        SERVICE_PLUGINS.require(service)
        # Let requests through: importing holds the interpreter's lock.
        time.sleep(0)


def _build_service_index() -> None:
    folder = Path(config.dirs.static_libs)
    index = folder / spec._get_catalog_filename()  # pyright: ignore[reportPrivateUsage]
    if index.exists() or not os.access(folder.parent if not folder.exists() else folder, os.W_OK):
        return
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = index.with_suffix(f".{os.getpid()}")
    spec.build_service_index_cache(str(unfinished))
    unfinished.rename(index)
