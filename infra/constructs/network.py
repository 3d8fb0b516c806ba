"""Network of the stages in the cloud: private subnets for functions, isolated ones for data."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.stages import CloudSettings

HTTPS = ec2.Port.tcp(443)


class Network(Construct):
    """VPC with public, private and isolated subnets.

    Functions reach model providers, the AWS APIs and `@connections` through NAT. There is no interface endpoint for
    execute-api: with private DNS it would catch the calls to `@connections`, which is a public API's, and refuse them.
    Gateway endpoints for S3 and DynamoDB cost nothing and keep that traffic off the NAT. `internet` exists when a
    function can reach the internet.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: CloudSettings, retention: logs.RetentionDays
    ) -> None:
        """retention: of the flow log, which records refused traffic only."""
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=settings.zones,
            nat_gateways=settings.nat_gateways,
            restrict_default_security_group=False,  # True would add a Lambda function of the CDK's own
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="Functions", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="Data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        self.internet = self.vpc.select_subnets(
            subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS
        ).internet_connectivity_established
        flow_logs = logs.LogGroup(self, "FlowLogs", retention=retention, removal_policy=RemovalPolicy.DESTROY)
        self.vpc.add_flow_log(
            "Refused",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_logs),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        self.functions = ec2.SecurityGroup(
            self, "Functions", vpc=self.vpc, description="Lambda functions", allow_all_outbound=False
        )
        self.functions.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS APIs, model providers, tools and webhooks")
        self.functions.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(80), "Pages that are fetched without TLS")
