"""Run LocalStack in this process: ``python -m suna_localstack.host --port 4566 --state-dir .local/state/localstack``.

Prints ``Ready.`` once the AWS endpoint answers; SIGTERM and SIGINT end it, with every worker it started.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from suna_localstack.host.environment import localstack_environment


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m suna_localstack.host", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of the AWS endpoint on 127.0.0.1")
    parser.add_argument("--state-dir", type=Path, required=True, help="folder for everything LocalStack writes")
    parser.add_argument("--log-dir", type=Path, help="folder for the functions' log files")
    parser.add_argument("--gateway-port", type=int, help="port of API Gateway's data plane on 127.0.0.1")
    parser.add_argument("--gateway-stack", help="CloudFormation stack whose APIs the gateway serves at its root")
    options = parser.parse_args()
    environment = localstack_environment(
        port=options.port,
        state_dir=options.state_dir.resolve(),
        log_dir=options.log_dir and options.log_dir.resolve(),
        gateway_port=options.gateway_port,
        gateway_stack=options.gateway_stack,
    )
    # What the caller has set is meant: DEBUG=1, LAMBDA_KEEPALIVE_MS=1000 and the like.
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    cache = Path(os.environ["XDG_CACHE_HOME"])
    # plux tells changed entry points by an mtime of 128 s precision: an index of an older install would be used.
    shutil.rmtree(cache / "plux", ignore_errors=True)
    temporary = Path(os.environ["SUNA_STATE_DIR"], "tmp")
    for folder in (cache, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    # Lambda bundles are unzipped there. LocalStack warns of the variable TMPDIR, which once meant something else to it.
    tempfile.tempdir = str(temporary)

    # LocalStack reads its configuration when it is imported.
    from localstack.runtime.main import main as run_localstack  # noqa: PLC0415

    try:
        run_localstack()
    except SystemExit as end:
        # Taking the interpreter down in order costs seconds, and waits for keep-alive timers; nothing is left to save.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    main()
