"""A function behind a WebSocket API; it notes the events it gets as lines of the file in `EVENTS`."""

import http.client
import json
import os
import time


def handler(event, context):
    _note(event)
    match event["requestContext"]["eventType"]:
        case "CONNECT":
            return _connect(event)
        case "MESSAGE":
            return _message(event)
    return {"statusCode": 200}


def _connect(event):
    query = event.get("queryStringParameters") or {}
    if "crash" in query:
        raise RuntimeError("crash")
    if "malformed" in query:
        return {"statusCode": "many"}
    time.sleep(float(query.get("sleep_s", 0)))
    if "post" in query:
        _note({"post": _post(event, b"too early")})
    headers = {"Sec-WebSocket-Protocol": query["subprotocol"]} if "subprotocol" in query else {}
    return {"statusCode": int(query.get("status", 200)), "headers": headers}


def _message(event):
    try:
        body = json.loads(event["body"])
    except ValueError:
        body = event["body"]
    if not isinstance(body, dict):
        return {"statusCode": 200, "body": json.dumps({"route": event["requestContext"]["routeKey"], "body": body})}
    if body.get("crash"):
        raise RuntimeError("crash")
    time.sleep(body.get("sleep_s", 0))
    return {"statusCode": 200, "body": json.dumps({"route": event["requestContext"]["routeKey"], "body": body})}


def _post(event, data):
    context = event["requestContext"]
    path = f"/@ws/{context['apiId']}/{context['stage']}/@connections/{context['connectionId']}"
    gateway = http.client.HTTPConnection(os.environ["GATEWAY"], timeout=5)
    gateway.request("POST", path, body=data, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test"})
    return gateway.getresponse().status


def _note(event):
    with open(os.environ["EVENTS"], "a") as events:
        events.write(json.dumps(event) + "\n")
