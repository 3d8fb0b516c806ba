"""Subscriptions in DynamoDB and files in S3."""

from __future__ import annotations

from aws_cdk import CfnParameter, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

FILES_PREFIX = "accounts"


class Storage(Construct):
    """The subscriptions table and the files bucket.

    subscriptions: partition `thread_id`, sort `connection_id`, items expire by `expires_at` (epoch seconds). A
        connection's own record has partition `connection#<id>` and sort `connection`.
    files: what clients upload, below `accounts/`; objects only over TLS, never public.
    """

    def __init__(self, scope: Construct, construct_id: str, *, keep_files: bool, cors_origins: CfnParameter) -> None:
        """keep_files: whether the bucket outlives the stack. cors_origins: of pages that upload and download."""
        super().__init__(scope, construct_id)
        self.subscriptions = dynamodb.TableV2(
            self,
            "Subscriptions",
            partition_key=dynamodb.Attribute(name="thread_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="connection_id", type=dynamodb.AttributeType.STRING),
            time_to_live_attribute="expires_at",
            billing=dynamodb.Billing.on_demand(),
            # Nothing to keep: a connection lives two hours at most, and its client subscribes again.
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.files = s3.Bucket(
            self,
            "Files",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            cors=[
                s3.CorsRule(
                    allowed_origins=cors_origins.value_as_list,
                    allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.POST],
                    # What a URL allows is signed; a page sends no credential with it.
                    allowed_headers=["*"],
                    max_age=3600,
                )
            ],
            lifecycle_rules=[
                s3.LifecycleRule(id="abandoned-uploads", abort_incomplete_multipart_upload_after=Duration.days(1))
            ],
            removal_policy=RemovalPolicy.RETAIN if keep_files else RemovalPolicy.DESTROY,
        )
        self.file_objects = self.files.arn_for_objects(f"{FILES_PREFIX}/*")
        """ARN of every file's object."""
