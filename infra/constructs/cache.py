"""Redis: ElastiCache Serverless for Valkey. It may be lost at any moment, so it has no snapshots."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from constructs import Construct

from infra.constructs.network import Network
from infra.stages import CloudSettings

WRITE_PORT, READ_PORT = 6379, 6380
"""ElastiCache Serverless serves its primary and its read-optimised endpoint on these."""


class Cache(Construct):
    """Serverless Valkey in cluster mode, TLS only, reached only by the functions.

    `url` is `rediss://host:port`.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, name: str, settings: CloudSettings, network: Network
    ) -> None:
        """name: of the cache, unique in account and region."""
        super().__init__(scope, construct_id)
        group = ec2.SecurityGroup(self, "Group", vpc=network.vpc, description="Valkey", allow_all_outbound=False)
        ports = ec2.Port.tcp_range(WRITE_PORT, READ_PORT)
        group.add_ingress_rule(network.functions, ports, "functions")
        network.functions.add_egress_rule(group, ports, "Valkey")
        cache = elasticache.CfnServerlessCache(
            self,
            "Cache",
            engine="valkey",
            major_engine_version="8",
            serverless_cache_name=name,
            description="Event log, control streams and limits",
            security_group_ids=[group.security_group_id],
            subnet_ids=network.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
            cache_usage_limits=elasticache.CfnServerlessCache.CacheUsageLimitsProperty(
                data_storage=elasticache.CfnServerlessCache.DataStorageProperty(
                    unit="GB", maximum=settings.cache_max_gb
                ),
                ecpu_per_second=elasticache.CfnServerlessCache.ECPUPerSecondProperty(
                    maximum=settings.cache_max_ecpu_per_s
                ),
            ),
        )
        self.url = f"rediss://{cache.attr_endpoint_address}:{cache.attr_endpoint_port}"
