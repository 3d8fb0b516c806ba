"""Handler of SQS events: notes each record in a file, then does what the record's body says."""

import json
import os
import time
from pathlib import Path


def handler(event, context):
    notes = Path(os.environ["NOTES"])
    bodies = [json.loads(record["body"]) for record in event["Records"]]
    line = {"started_at": time.time(), "request_id": context.aws_request_id, "records": event["Records"]}
    with notes.open("a") as file:
        file.write(json.dumps(line) + "\n")
    for body in bodies:
        if "until" in body:
            while not Path(body["until"]).exists():
                time.sleep(0.005)
    if any(body.get("fail") == "batch" for body in bodies):
        raise ValueError("the batch fails")
    failed = [
        {"itemIdentifier": record["messageId"]}
        for record, body in zip(event["Records"], bodies, strict=True)
        if body.get("fail") == "item"
    ]
    return {"batchItemFailures": failed}
