"""The settings of each stage: everything that may differ between `local`, `small` and `large`, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

StageName = Literal["local", "small", "large"]

MAX_CONNECTIONS_BY_ACU: Mapping[float, int] = {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 64: 5000}
"""Default `max_connections` of Aurora PostgreSQL by the cluster's maximum capacity.

Source: Amazon Aurora User Guide, "Performance and scaling for Aurora Serverless v2", maximum connections.
"""

MAX_CONNECTIONS_OF_PAUSING_CLUSTER = 2000
"""Cap on the above where the minimum capacity is 0 or 0.5 ACU (same source)."""

KEPT_FREE_CONNECTIONS = 13
"""Left to others: superuser_reserved_connections (3), RDS's own, and somebody with psql."""


class StageError(ValueError):
    """A stage's settings contradict each other."""


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """Size of one Lambda function.

    concurrency: reserved concurrency, the most environments that run at once.
    pool_size: connections of an environment's pool, unless it is the stage's. A run takes one for a transaction only;
        where a batch of runs is executed at once there are more, so that one that waits for a lock keeps none waiting.
    lease_connections: connections an environment opens beside its pool: executors renew their lease on one of its own.
    snap_start: whether cold starts resume from a snapshot. It costs by memory and month (about 4 USD a GB), so it is
        on where a user waits for the import of FastAPI (Http) or litellm (QueueRunner), and nowhere else.
    """

    memory_mb: int
    timeout_s: int
    concurrency: int
    pool_size: int | None = None
    lease_connections: int = 0
    snap_start: bool = False


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """How the queues feed the functions.

    A batch of `runs_batch` runs is executed concurrently in one environment; `*_concurrency` is the event source's
    maximum concurrency in environments (AWS allows 2 to 1,000).
    """

    runs_batch: int = 10
    runs_concurrency: int
    retry_concurrency: int
    watch_concurrency: int
    dead_letter_concurrency: int = 2


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Aurora Serverless v2 PostgreSQL; capacities in ACU (about 2 GiB each).

    min_acu: 0 lets the cluster pause after `pause_after_s` without connections; it resumes in about 15 s.
    reader: a second instance in another zone, to fail over to.
    proxy: RDS Proxy in front; it keeps connections open, so such a cluster never pauses.
    """

    min_acu: float
    max_acu: float
    pause_after_s: int | None = None
    reader: bool = False
    proxy: bool = False
    deletion_protection: bool = False
    backup_days: int = 7

    @property
    def max_connections(self) -> int:
        """Connections the cluster accepts."""
        limit = MAX_CONNECTIONS_BY_ACU[self.max_acu]
        return min(limit, MAX_CONNECTIONS_OF_PAUSING_CLUSTER) if self.min_acu <= 0.5 else limit


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """What only a stage in the cloud has.

    nat_gateways: 1, or one a zone so that a zone's end does not cut the others off.
    """

    database: DatabaseSettings
    zones: int = 2
    nat_gateways: int = 1
    cache_max_gb: int = 5
    cache_max_ecpu_per_s: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage. Times in seconds unless the name says otherwise."""

    name: StageName
    lease_s: int
    wake_by_s: int
    # Seldom where the database pauses: each sweep wakes it, and keeps it awake for as long as it waits to pause.
    sweep_every_min: int
    postgres_pool_size: int = 2
    postgres_idle_s: int = 300
    postgres_lifetime_s: int = 3600
    log_bytes: int = 16 * 2**20
    model_providers: str = ""
    model_connections: int = 100
    model_connections_per_host: int = 30
    model_dns_ttl_s: int = 300
    # To whoever owns the run, scrubbed: it may have what they said, and what is nobody's business but the operator's.
    shows_provider_errors: bool = False
    log_level: str = "INFO"
    log_retention_days: int
    http_rate_per_s: int = 2_000
    http_burst: int = 1_000
    websocket_rate_per_s: int = 2_000
    websocket_burst: int = 1_000
    max_receives: int = 5
    queues: QueueSettings
    functions: Mapping[str, FunctionSettings]
    cloud: CloudSettings | None = None
    local_max_connections: int = field(default=0)

    def __post_init__(self) -> None:
        """Check what AWS would refuse late, or never notice."""
        queues, functions = self.queues, self.functions
        fed = {
            "QueueRunner": queues.runs_concurrency + queues.retry_concurrency,
            "Watch": queues.watch_concurrency + 2 * queues.dead_letter_concurrency,
        }
        for function_id, most in fed.items():
            if functions[function_id].concurrency < most:
                raise StageError(f"{function_id}: event sources may use {most} environments, more than are reserved")
        if self.connections_needed > self.max_connections - KEPT_FREE_CONNECTIONS:
            raise StageError(
                f"stage {self.name!r} may open {self.connections_needed} database connections, "
                f"the cluster takes {self.max_connections} and {KEPT_FREE_CONNECTIONS} are kept free"
            )

    @property
    def max_connections(self) -> int:
        """Connections that the stage's PostgreSQL accepts."""
        return self.cloud.database.max_connections if self.cloud else self.local_max_connections

    @property
    def connections_needed(self) -> int:
        """Connections open at once if every function runs at its full concurrency with a full pool.

        With RDS Proxy as well: it holds even if every connection behind it were pinned.
        """
        return sum(
            function.concurrency * (self.pool_size_of(function_id) + function.lease_connections)
            for function_id, function in self.functions.items()
        )

    def pool_size_of(self, function_id: str) -> int:
        """Connections of the pool of one of the function's environments."""
        return self.functions[function_id].pool_size or self.postgres_pool_size


LOCAL = Stage(
    name="local",
    lease_s=5,
    wake_by_s=6,
    sweep_every_min=1,
    shows_provider_errors=True,
    log_retention_days=1,
    queues=QueueSettings(runs_concurrency=4, retry_concurrency=2, watch_concurrency=2),
    functions={
        "Http": FunctionSettings(memory_mb=1024, timeout_s=30, concurrency=20),
        "WebSocket": FunctionSettings(memory_mb=1024, timeout_s=30, concurrency=20),
        "Watch": FunctionSettings(memory_mb=512, timeout_s=60, concurrency=6),
        "Sender": FunctionSettings(memory_mb=1024, timeout_s=120, concurrency=6),
        "Migrate": FunctionSettings(memory_mb=512, timeout_s=300, concurrency=1),
        "QueueRunner": FunctionSettings(memory_mb=2048, timeout_s=900, concurrency=6, pool_size=4, lease_connections=1),
        "WorkflowRunner": FunctionSettings(memory_mb=2048, timeout_s=900, concurrency=4, lease_connections=1),
        "Summarizer": FunctionSettings(memory_mb=2048, timeout_s=300, concurrency=2, lease_connections=1),
    },
    local_max_connections=200,
)

SMALL = Stage(
    name="small",
    lease_s=30,
    wake_by_s=60,
    sweep_every_min=24 * 60,
    log_retention_days=30,
    queues=QueueSettings(runs_concurrency=20, retry_concurrency=2, watch_concurrency=6),
    functions={
        "Http": FunctionSettings(memory_mb=1024, timeout_s=30, concurrency=50, snap_start=True),
        "WebSocket": FunctionSettings(memory_mb=1024, timeout_s=30, concurrency=50),
        "Watch": FunctionSettings(memory_mb=512, timeout_s=60, concurrency=10),
        "Sender": FunctionSettings(memory_mb=1024, timeout_s=120, concurrency=20),
        "Migrate": FunctionSettings(memory_mb=512, timeout_s=300, concurrency=1),
        "QueueRunner": FunctionSettings(
            memory_mb=2048, timeout_s=900, concurrency=22, pool_size=4, lease_connections=1, snap_start=True
        ),
        "WorkflowRunner": FunctionSettings(memory_mb=2048, timeout_s=900, concurrency=200, lease_connections=1),
        "Summarizer": FunctionSettings(memory_mb=2048, timeout_s=300, concurrency=5, lease_connections=1),
    },
    cloud=CloudSettings(database=DatabaseSettings(min_acu=0, max_acu=8, pause_after_s=1800)),
)

LARGE = Stage(
    name="large",
    lease_s=30,
    wake_by_s=60,
    sweep_every_min=5,
    log_retention_days=90,
    http_rate_per_s=4_000,
    http_burst=2_000,
    websocket_rate_per_s=4_000,
    websocket_burst=2_000,
    queues=QueueSettings(runs_concurrency=200, retry_concurrency=10, watch_concurrency=20),
    functions={
        "Http": FunctionSettings(memory_mb=1792, timeout_s=30, concurrency=200, snap_start=True),
        "WebSocket": FunctionSettings(memory_mb=1024, timeout_s=30, concurrency=150),
        "Watch": FunctionSettings(memory_mb=512, timeout_s=60, concurrency=24),
        "Sender": FunctionSettings(memory_mb=1024, timeout_s=120, concurrency=100),
        "Migrate": FunctionSettings(memory_mb=512, timeout_s=300, concurrency=1),
        "QueueRunner": FunctionSettings(
            memory_mb=3008, timeout_s=900, concurrency=210, pool_size=3, lease_connections=1, snap_start=True
        ),
        "WorkflowRunner": FunctionSettings(memory_mb=3008, timeout_s=900, concurrency=1_000, lease_connections=1),
        "Summarizer": FunctionSettings(memory_mb=2048, timeout_s=300, concurrency=40, lease_connections=1),
    },
    cloud=CloudSettings(
        database=DatabaseSettings(
            min_acu=1, max_acu=32, reader=True, proxy=True, deletion_protection=True, backup_days=14
        ),
        nat_gateways=2,
        cache_max_gb=50,
        cache_max_ecpu_per_s=100_000,
    ),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (LOCAL, SMALL, LARGE)}
