"""A function behind an HTTP API that answers as the path asks it to."""

import base64
import json
import os
import time


def handler(event, context):
    answer = ANSWERS.get(event["rawPath"].rsplit("/", 1)[-1])
    if answer is None:
        return {"statusCode": 200, "body": f"{event['routeKey']} {json.dumps(event.get('pathParameters'))}"}
    return answer(event)


def echo(event):
    headers = {"content-type": "application/json", "Access-Control-Allow-Origin": "https://own.example"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(event)}


def created(event):
    return {"statusCode": "201", "cookies": ["a=1", "b=2; HttpOnly"], "headers": {"X-Number": 7}}


def binary(event):
    return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()}


def crash(event):
    raise RuntimeError("crash")


def slow(event):
    time.sleep(float(event["queryStringParameters"]["s"]))
    return {"statusCode": 200, "body": "slow"}


ANSWERS = {
    "echo": echo,
    "created": created,
    "inferred": lambda event: {"answer": 42},
    "text": lambda event: "just text",
    "binary": binary,
    "malformed": lambda event: {"statusCode": "many"},
    "crash": crash,
    "exit": lambda event: os._exit(3),
    "slow": slow,
}


def authorizer(event, context):
    token = event["identitySource"][0]
    if token == "crash":
        raise RuntimeError("crash")
    return {"isAuthorized": token == "secret", "context": {"user": "ada"}}
