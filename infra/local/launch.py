"""Becomes a child of the local stack: dies with its parent, and shows PostgreSQL a user it accepts.

Run as a file, before the command itself: `launch.py PARENT_PID STOP_SIGNAL DATA COMMAND...`, where
DATA is `-` unless the command refuses root. Nothing here may import beyond the standard library.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


def refused_by_postgres() -> bool:
    """initdb and postgres run neither as root nor as a user without a passwd entry."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_uid == 0
    except KeyError:
        return True


def own(data: Path, user: int, group: int) -> None:
    """An earlier run may have been another user's."""
    for path in (data, *data.rglob("*")):
        if path.lstat().st_uid != user:
            os.chown(path, user, group, follow_symlinks=False)


def enter_user_namespace() -> bool:
    """Show this process as nobody while its files keep their owner; works in any directory."""
    user, group = os.geteuid(), os.getegid()
    if sys.platform != "linux" or ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
        return False
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1", encoding="ascii")
    return True


def become_acceptable(data: Path) -> None:
    """Without namespaces root turns into nobody, which needs every parent of `data` traversable.

    The nearest parent is the stack's own and is opened that far; others are not ours to change.
    """
    is_root = os.geteuid() == 0
    if is_root:
        own(data, 0, 0)
    if enter_user_namespace() or not is_root:
        return
    data.parent.chmod(0o711)
    own(data, NOBODY, NOBODY)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def die_with(parent: int, stop_signal: int) -> None:
    """Linux only; the kernel forgets the wish when the user changes, so this comes after."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != parent:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    parent, stop_signal, data, *command = arguments
    if data != "-" and refused_by_postgres():
        become_acceptable(Path(data))
    die_with(int(parent), int(stop_signal))
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec keeps that
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  # the command is the stack's own
    except OSError as problem:
        sys.exit(f"{command[0]}: {problem.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
