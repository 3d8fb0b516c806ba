"""A function whose start waits for a file: ``FOLDER/gate``. Each start leaves the file ``FOLDER/starts/<pid>``."""

import os
import time
from pathlib import Path

_FOLDER = Path(os.environ["FOLDER"])
(_FOLDER / "starts" / str(os.getpid())).touch()
while not (_FOLDER / "gate").exists():
    time.sleep(0.005)
if (_FOLDER / "broken").exists():
    os._exit(3)


def handler(event, _context):
    """Wait for a file if told to."""
    if "until" in event:
        Path(event["started"]).touch()
        while not Path(event["until"]).exists():
            time.sleep(0.005)
    return {"pid": os.getpid()}
