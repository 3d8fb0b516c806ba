"""One address for both APIs: CloudFront, which chooses between them by method and path."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.apis import WEBSOCKET_STAGE, HttpEndpoint, WebSocketEndpoint
from infra.constructs.page import PREFIX

ROUTER = Path(__file__).with_name("edge_router.js")
PAGE_ROUTER = Path(__file__).with_name("page_router.js")


class Edge(Construct):
    """Distribution that sends `GET /threads/{t}/stream[/events]` to the WebSocket API, `/app/` to the chat page's
    files, and everything else to the HTTP API; of the APIs it caches nothing.

    API Gateway has no path routing for WebSocket APIs, and edge functions do not see the `Upgrade` header; on these
    paths the HTTP API has no GET.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, http: HttpEndpoint, websocket: WebSocketEndpoint, page: s3.IBucket
    ) -> None:
        """page: bucket with the page's files under `app/`. `url` is the address that clients use, `page_url` that of
        the chat page."""
        super().__init__(scope, construct_id)
        source = ROUTER.read_text(encoding="utf-8")
        source = source.replace("WEBSOCKET_DOMAIN", websocket.domain).replace("WEBSOCKET_STAGE", WEBSOCKET_STAGE)
        router = cloudfront.Function(
            self,
            "Router",
            code=cloudfront.FunctionCode.from_inline(source),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            comment="Chooses between the HTTP and the WebSocket API",
        )
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="suna",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.HttpOrigin(http.domain, protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                function_associations=[
                    cloudfront.FunctionAssociation(
                        function=router, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            ),
        )
        page_router = cloudfront.Function(
            self,
            "PageRouter",
            code=cloudfront.FunctionCode.from_inline(PAGE_ROUTER.read_text(encoding="utf-8")),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
            comment="Finds the chat page's index",
        )
        distribution.add_behavior(
            f"/{PREFIX}/*",
            origins.S3BucketOrigin.with_origin_access_control(page),
            # Files say themselves how long they may be kept.
            cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
            response_headers_policy=cloudfront.ResponseHeadersPolicy.SECURITY_HEADERS,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            function_associations=[
                cloudfront.FunctionAssociation(
                    function=page_router, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                )
            ],
        )
        self.url = f"https://{distribution.distribution_domain_name}"
        self.page_url = f"{self.url}/{PREFIX}/"
