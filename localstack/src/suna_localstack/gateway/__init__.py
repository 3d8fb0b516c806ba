"""API Gateway v2 for LocalStack: control plane, CloudFormation resources and data plane of HTTP and WebSocket APIs.

The control plane (`provider`, `control_plane`, `cloudformation`) keeps the APIs on moto; the data plane (`server` and
what it imports) serves them on one local port. Both meet in `apis.Apis`, an immutable view of everything deployed.

What differs from AWS: integrations other than Lambda proxies answer 500 (502 at `$connect`), JWT authorizers are
refused when they are created, authorizers' answers are not cached, signatures must be present but are not verified,
functions' resource policies are not checked, and quotas are counted by gateway, not by account.
"""
