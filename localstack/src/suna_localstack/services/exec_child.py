"""Replace this process by a command that dies when its parent does.

Run as a file by a bare interpreter (``python -I -S exec_child.py OPTIONS -- COMMAND ...``), so it costs about 15 ms
and imports nothing of the project. Only on Linux is the parent's death a signal; elsewhere the command simply starts.

PostgreSQL refuses to run as root, and a project folder under ``/root`` cannot be entered by anyone else. With
``--user`` the command therefore runs as that user and keeps one capability of root's, ``CAP_DAC_OVERRIDE``, so that
no folder's permissions have to be changed.
"""

import argparse
import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


def _prctl(*values: int) -> int:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:5]]
    return ctypes.CDLL(None, use_errno=True).prctl(*arguments)


def become(user: str) -> None:
    """Drop from root to ``user``, keeping only the right to pass folders that others may not enter."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    mask = 1 << _CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable
    if ctypes.CDLL(None, use_errno=True).capset(header, sets) == 0:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if sys.platform == "linux":
        if options.user:
            become(options.user)
        # After the change of user, which would clear it.
        _prctl(_PR_SET_PDEATHSIG, options.death_signal)
        if os.getppid() != options.parent:
            sys.exit("the parent process is gone")
    os.execvp(options.command[0], options.command)  # noqa: S606 - that is this file's purpose


if __name__ == "__main__":
    main()
