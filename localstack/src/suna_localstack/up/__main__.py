"""``python -m suna_localstack.up {run,up,down,status,logs,with-services}``: the local stack from the command line."""

import argparse
import os
import sys
from collections.abc import Callable

from suna_localstack.up import control
from suna_localstack.up.console import say, stop_saying
from suna_localstack.up.errors import StackError
from suna_localstack.up.folders import Folders
from suna_localstack.up.foreground import DEFAULT_MESSAGE, print_addresses, run
from suna_localstack.up.launch import launch
from suna_localstack.up.logs import follow
from suna_localstack.up.supervisor import first_cause, supervise
from suna_localstack.up.with_services import run_with_services


def _up(folders: Folders) -> int:
    stack = control.running_stack(folders)
    if stack is not None:
        say(", ".join(["The stack is running already", *control.bring_up_to_date(folders, stack)]))
    else:
        say("Starting the local stack")
        launched = launch(folders, attached=False)
        stack = launched.stack
        say(f"Ready after {launched.seconds:.1f} s")
    print_addresses(stack)
    say(f"  described in  {folders.stack_file}")
    return 0


def _down(folders: Folders) -> int:
    say(control.down(folders))
    return 0


def _status(folders: Folders) -> int:
    stack = control.running_stack(folders)
    if stack is None:
        say("nothing is running")
        return 1
    for part in stack["processes"]:
        say(f"  {part['name']:<13} pid {part['pid']:<8} port {part['port']}")
    print_addresses(stack)
    return 0


def _logs(folders: Folders, *, no_follow: bool) -> int:
    if not folders.logs.exists():
        raise StackError(f"there are no logs in {folders.logs} yet: start the stack with `make up`")
    try:
        follow(folders.logs, forever=not no_follow)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        stop_saying()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m suna_localstack.up", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="boot, stream one answer, serve until Ctrl-C")
    run_command.add_argument("--message", default=os.environ.get("MSG") or DEFAULT_MESSAGE)
    commands.add_parser("up", help="boot detached; find a running stack; update changed infrastructure")
    commands.add_parser("down", help="end the stack, whatever state it is in")
    commands.add_parser("status", help="what runs where; exit code 1 if nothing does")
    logs = commands.add_parser("logs", help="follow all logs in one stream")
    logs.add_argument("--no-follow", action="store_true", help="print what is there and end")
    services = commands.add_parser(
        "with-services", help="run a command with PostgreSQL, Redis and the model of its own"
    )
    services.add_argument("argv", nargs="+", metavar="COMMAND")
    supervise_command = commands.add_parser("supervise", help="the supervisor itself (started by run and up)")
    supervise_command.add_argument("--progress-fd", type=int)
    supervise_command.add_argument("--until-eof", action="store_true", help="end when standard input does")
    options = parser.parse_args()
    folders = Folders.from_environment()
    handlers: dict[str, Callable[[], int]] = {
        "run": lambda: run(folders, options.message),
        "up": lambda: _up(folders),
        "down": lambda: _down(folders),
        "status": lambda: _status(folders),
        "logs": lambda: _logs(folders, no_follow=options.no_follow),
        "with-services": lambda: run_with_services(options.argv, folders.root),
        "supervise": lambda: supervise(folders, progress_fd=options.progress_fd, until_eof=options.until_eof),
    }
    try:
        return handlers[options.command]()
    except (StackError, ExceptionGroup) as error:
        sys.stderr.write(f"error: {first_cause(error)}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
