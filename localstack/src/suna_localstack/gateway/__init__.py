"""API Gateway v2 for LocalStack: control plane, CloudFormation resources and data plane of HTTP and WebSocket APIs.

The control plane (`provider`, `control_plane`, `cloudformation`) keeps the APIs on moto; the data plane (`server` and
what it imports) serves them on one local port. Both meet in `apis.Apis`, an immutable view of everything deployed.
"""
