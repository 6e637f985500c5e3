"""Processes of a test cluster: started under a private `/etc/hosts`, and recognised by it.

Every daemon runs in a mount namespace of its own in which the file `STATE_DIR/hosts/NAME` lies over `/etc/hosts`. Node
names so resolve for the daemon and for all jobs that it starts, while the machine's own file stays as it is. Children
keep the namespace, even those that leave their parent, so the same file also says whose process a process is; before it
lies there, the command line that will put it there does. No list of process ids has to be kept: such a list can be
incomplete (a killed starter) or stale (a process id given anew).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_UNDER_PRIVATE_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def start_daemon(
    state: Path, name: str, command: Sequence[str], variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start one daemon in the foreground of a session of its own; it outlives the caller.

    `STATE_DIR/hosts/NAME` must exist. What the daemon prints goes to `STATE_DIR/log/NAME.stderr`. Of the caller's
    environment it gets only PATH, so that a cluster is the same whoever starts it.
    """
    private = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _UNDER_PRIVATE_HOSTS, "sh"]
    with (state / "log" / f"{name}.stderr").open("wb") as printed:
        return subprocess.Popen(
            [*private, str(state / "hosts" / name), *command],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables},
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def processes(state: Path, name: str = "*") -> set[int]:
    """Ids of the living processes of one daemon (all of the cluster's by default), jobs that it started included."""
    files = list((state / "hosts").glob(name))
    names = {os.fsencode(file) for file in files}
    inodes = {(file.stat().st_dev, file.stat().st_ino) for file in files}
    found = set()
    for process in Path("/proc").iterdir():
        if files and process.name.isdecimal():
            try:  # the command line first: read second, it might be past its mount already
                arguments = (process / "cmdline").read_bytes().split(b"\0")
                seen = (process / "root/etc/hosts").stat()
            except OSError:  # it has ended, is a zombie, or has an own root without that file
                continue
            will_mount = _UNDER_PRIVATE_HOSTS.encode() in arguments and not names.isdisjoint(arguments)
            if will_mount or (seen.st_dev, seen.st_ino) in inodes:
                found.add(int(process.name))
    return found


def end_processes(state: Path, name: str = "*") -> None:
    """Kill the processes of one daemon (all of the cluster's by default), jobs that it started included."""
    while left := processes(state, name):  # again and again: a process may just have started another
        for process_id in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        time.sleep(0.02)
