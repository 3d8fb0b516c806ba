"""What a command says on standard output."""

import os
import sys


def say(text: str = "", *, end: str = "\n") -> None:
    """Print a line at once. Whoever has stopped reading (``make up | head``) hears no more, and the command goes on."""
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        stop_saying()


def stop_saying() -> None:
    """Nobody reads: what is said from here on, by children too, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
