"""PostgreSQL: Aurora Serverless v2 in the cloud, a server given by parameter in stage `local`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from aws_cdk import CfnParameter, Duration, RemovalPolicy, SecretValue
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IConstruct

from infra.constructs.network import Network
from infra.stages import DatabaseSettings

POSTGRES_PORT = 5432
DATABASE_NAME = "suna"
DATABASE_USER = "suna"


@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """What a function needs to reach PostgreSQL.

    secret: JSON in RDS's shape (host, port, username, password, dbname).
    host: where to connect instead of the secret's host (RDS Proxy), or None.
    ready: must exist before somebody connects.
    """

    secret: secretsmanager.ISecret
    host: str | None
    ready: tuple[IConstruct, ...]


class Database(Construct):
    """Aurora PostgreSQL, reached only by the functions and only over TLS; with RDS Proxy where the stage has one."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: DatabaseSettings, network: Network) -> None:
        """See `infra.stages.DatabaseSettings`."""
        super().__init__(scope, construct_id)
        readers = [rds.ClusterInstance.serverless_v2("Reader", scale_with_writer=True)] if settings.reader else []
        cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            engine=rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_17_7),
            writer=rds.ClusterInstance.serverless_v2("Writer"),
            readers=readers,
            serverless_v2_min_capacity=settings.min_acu,
            serverless_v2_max_capacity=settings.max_acu,
            serverless_v2_auto_pause_duration=_seconds(settings.pause_after_s),
            credentials=rds.Credentials.from_generated_secret(DATABASE_USER),
            default_database_name=DATABASE_NAME,
            parameters={"rds.force_ssl": "1"},
            storage_encrypted=True,
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            backup=rds.BackupProps(retention=Duration.days(settings.backup_days)),
            copy_tags_to_snapshot=True,
            deletion_protection=settings.deletion_protection,
            removal_policy=RemovalPolicy.SNAPSHOT,
        )
        secret = cluster.secret
        if secret is None:
            raise ValueError("the cluster has no generated secret")
        if settings.proxy:
            proxy = cluster.add_proxy(
                "Proxy",
                secrets=[secret],
                vpc=network.vpc,
                vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
                require_tls=True,
                idle_client_timeout=Duration.minutes(30),
            )
            proxy.connections.allow_from(network.functions, ec2.Port.tcp(POSTGRES_PORT), "functions")
            self.access = DatabaseAccess(secret=secret, host=proxy.endpoint, ready=(cluster, proxy))
        else:
            cluster.connections.allow_default_port_from(network.functions, "functions")
            self.access = DatabaseAccess(secret=secret, host=None, ready=(cluster,))


class GivenDatabase(Construct):
    """A PostgreSQL that runs already; the parameter holds its secret's JSON."""

    def __init__(self, scope: Construct, construct_id: str, *, secret: CfnParameter) -> None:
        """secret: parameter (NoEcho) with JSON in RDS's shape."""
        super().__init__(scope, construct_id)
        stored = secretsmanager.Secret(
            self,
            "Secret",
            secret_string_value=SecretValue.cfn_parameter(secret),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.access = DatabaseAccess(secret=cast("secretsmanager.ISecret", stored), host=None, ready=(stored,))


def _seconds(value: int | None) -> Duration | None:
    return None if value is None else Duration.seconds(value)
