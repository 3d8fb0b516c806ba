"""Kills what LocalStack leaves behind: a process of its own that outlives even a ``kill -9`` of LocalStack.

It reads ``+<process group>`` and ``-<process group>`` lines from its standard input, which LocalStack holds open, and
at the end of the input kills every group that is still listed. An idle worker ends by itself when its connection
breaks, but one that hangs in its handler, and the processes that handlers start, would not.
"""

import os
import signal
import sys


def main() -> None:
    # A Ctrl-C in the terminal is for LocalStack, whose end is then seen here as the end of the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
