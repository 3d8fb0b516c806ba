"""A custom resource's function: notes its events, answers as the resource's properties say."""

import json
import os
import urllib.request
from pathlib import Path


def handler(event, context):
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(json.dumps(event) + "\n")
    properties = event["ResourceProperties"]
    if properties.get("Crash") == "true":
        raise RuntimeError("crashed before the answer")
    if properties.get("Silent") == "true":
        return
    answer = {
        "Status": "FAILED" if properties.get("Fail") == "true" else "SUCCESS",
        "Reason": "asked to fail",
        "PhysicalResourceId": properties["Id"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Version": 7, "Request": event["RequestType"]},
    }
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")  # noqa: S310
    request.add_header("content-type", "")
    urllib.request.urlopen(request)  # noqa: S310
