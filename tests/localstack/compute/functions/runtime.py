"""Handlers for the tests of the runtime: what they do is in the event."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path


def handler(event, context):
    match event.get("do"):
        case "describe":
            return {
                "environment": dict(os.environ),
                "path": sys.path,
                "cwd": os.getcwd(),
                "request_id": context.aws_request_id,
                "remaining_ms": context.get_remaining_time_in_millis(),
                "function_arn": context.invoked_function_arn,
                "client_context": context.client_context and context.client_context.custom,
            }
        case "importable":
            return [name for name in event["names"] if _importable(name)]
        case "raise":
            raise LookupError(event["message"])
        case "exit":
            os._exit(event["code"])
        case "hang":
            child = subprocess.Popen(["sleep", "60"])
            Path(event["pids"]).write_text(f"{os.getpid()} {child.pid}")
            time.sleep(60)
        case "answer":
            return "x" * event["size"]
        case "log":
            logging.getLogger().warning("a warning")
            for number in range(event["lines"]):
                print(number, "x" * 80)  # noqa: T201
        case "meet":
            # Ends only when as many invocations as expected are in their handlers at the same time.
            folder = Path(event["folder"])
            (folder / context.aws_request_id).touch()
            while len(list(folder.iterdir())) < event["count"]:
                time.sleep(0.005)
        case "wait":
            Path(event["started"]).touch()
            while not Path(event["until"]).exists():
                time.sleep(0.005)
    return {"pid": os.getpid()}


def _importable(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
