"""Starting and stopping a private SLURM with accounting, and making its nodes die and come back."""

import os
import random
import re
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from daemons import end_processes, processes, start_daemon

_FOLDERS = ("hosts", "log", "run", "tmp", "munge", "mariadb", "slurmctld", "slurmd", "gpus")
HERE = Path(__file__).parent
GPUS_PER_NODE = 8
_PACKAGE_OF = {
    "mariadbd": "mariadb-server-core",
    "munged": "munge",
    "sacctmgr": "slurm-client",
    "sinfo": "slurm-client",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "mount": "mount",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_PATIENCE = 60.0  # seconds for one daemon to answer; measured: under 1 on two idle cores
_LONGEST_STATE_DIR = 73  # bytes; slurmd adds up to 34 for the sockets of its job steps, and Linux allows 107


class ClusterError(Exception):
    """What went wrong, in words for the person who typed the command."""


def start(state: Path, nodes: int) -> Path:
    """Start a cluster with all its files in the folder `state`, wait until its nodes are idle, return its slurm.conf.

    Every start makes a new cluster: in a folder that held one before, its jobs, accounting and logs are dropped. If
    anything fails, all that was started is ended first.

    Raises:
        ClusterError: the place is unsuitable, or a daemon ended or did not answer (with the last lines of its log).
    """
    _check_place(state, nodes)
    try:
        _make_folders(state, nodes)
        _start_daemons(state, _write_configuration(state, nodes))
    except BaseException:
        end_processes(state)
        raise
    return state / "slurm.conf"


def stop(state: Path) -> None:
    """End all processes of the cluster in `state`, daemons and jobs, however far its start came; keep the logs.

    They get SIGKILL: nothing of a stopped cluster is used again, so nothing has to be closed in order.
    """
    end_processes(state)


def kill_node(state: Path, node: str) -> None:
    """Let a node die at once: its slurmd and everything that runs on it get SIGKILL."""
    _check_node(state, node)
    end_processes(state, node)


def revive_node(state: Path, node: str) -> None:
    """Start the slurmd of a node that was killed and wait until SLURM uses the node again."""
    _check_node(state, node)
    if processes(state, node):
        raise ClusterError(f"node {node} is alive")
    _start_slurmd(state, [node])


def _check_place(state: Path, nodes: int) -> None:
    if missing := sorted(program for program in _PACKAGE_OF if shutil.which(program) is None):
        packages = " ".join(sorted({_PACKAGE_OF[program] for program in missing}))
        raise ClusterError(f"{', '.join(missing)} not found: apt-get install --no-install-recommends {packages}")
    if not 1 <= nodes <= 16:
        raise ClusterError(f"--nodes {nodes}: expected 1 to 16")
    if not re.fullmatch(r"[\w./+-]+", str(state), re.ASCII) or len(str(state)) > _LONGEST_STATE_DIR:
        raise ClusterError(
            f"{state}: SLURM needs a folder whose whole path has at most {_LONGEST_STATE_DIR} characters, "
            "all of them letters, digits or one of . _ + - /"
        )
    if processes(state):
        raise ClusterError(f"a cluster is running in {state}: stop it first")
    if state.exists() and not state.is_dir():
        raise ClusterError(f"{state} is no folder: give a new or empty one")
    if state.is_dir() and any(state.iterdir()) and not (state / "hosts/slurmctld").is_file():
        raise ClusterError(f"{state} holds other things: give a new or empty folder")


def _check_node(state: Path, node: str) -> None:
    if not processes(state, "slurmctld"):
        raise ClusterError(f"no cluster is running in {state}")
    names = [folder.name for folder in sorted((state / "slurmd").iterdir())]
    if node not in names:
        raise ClusterError(f"{node}: no such node; the cluster in {state} has {', '.join(names)}")


def _make_folders(state: Path, nodes: int) -> None:
    node_names = _node_names(nodes)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700)  # MariaDB asks for no password: the folder of its socket is what keeps others out
    for folder in _FOLDERS:
        shutil.rmtree(state / folder, ignore_errors=True)
        (state / folder).mkdir()
    hosts = f"127.0.0.1 {' '.join(node_names)}\n" + Path("/etc/hosts").read_text()
    for name in ("munged", "mariadbd", "slurmdbd", "slurmctld", *node_names):
        (state / "hosts" / name).write_text(hosts)
    for name in node_names:
        (state / "slurmd" / name).mkdir()
    for i in range(GPUS_PER_NODE):  # slurmd wants device files; nothing ever opens them
        (state / "gpus" / f"gpu{i}").symlink_to("/dev/null")
    key = state / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))


def _node_names(nodes: int) -> list[str]:
    return [f"n{i + 1}" for i in range(nodes)]


def _write_configuration(state: Path, nodes: int) -> dict[str, socket.socket]:
    """Write the .conf files; return the chosen ports, still held, by the daemon that will listen there."""
    node_names = _node_names(nodes)
    held = {name: _hold_free_port() for name in ("slurmctld", "slurmdbd", *node_names)}
    ports = {name: holder.getsockname()[1] for name, holder in held.items()}
    host = socket.gethostname().split(".")[0]
    values = {
        "state": state,
        "host": host,
        "slurmctld_port": ports["slurmctld"],
        "slurmdbd_port": ports["slurmdbd"],
        "nodes": "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[name]}" for name in node_names
        ),
        "last_gpu": GPUS_PER_NODE - 1,
        "gpus": GPUS_PER_NODE,
        # Submitit derives MASTER_PORT from the job id: two clusters on one machine should not count alike.
        "first_job_id": random.randrange(1000, 900_000),
    }
    for template in sorted(HERE.glob("*.conf.in")):
        file = state / template.stem
        file.touch(mode=0o600)
        file.write_text(string.Template(template.read_text()).substitute(values))
    return held


def _hold_free_port() -> socket.socket:
    # 10000 to 19999: below Linux's ports for outgoing connections and below those submitit picks for MASTER_PORT.
    for port in random.sample(range(10_000, 20_000), 200):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        return holder
    raise ClusterError("found no free port from 10000 to 19999 on 127.0.0.1")


def _start_daemons(state: Path, held_ports: dict[str, socket.socket]) -> None:
    run, munge = state / "run", state / "munge"
    munged = start_daemon(
        state,
        "munged",
        [
            *("munged", "--foreground", "--origin=127.0.0.1", f"--key-file={munge}/key", f"--seed-file={munge}/seed"),
            *(f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid", f"--log-file={state}/log/munged.log"),
            "--force",  # else it refuses a socket that only root can reach
        ],
        {},
    )
    mariadbd = start_daemon(
        state,
        "mariadbd",
        [
            *("mariadbd", "--no-defaults", "--user=root", "--skip-grant-tables", "--skip-networking"),
            *(f"--datadir={state}/mariadb", f"--tmpdir={state}/tmp", f"--pid-file={run}/mariadbd.pid"),
            *(f"--socket={run}/mariadb.socket", "--performance-schema=OFF"),
            # Small and fast rather than safe from power cuts.
            *("--innodb-log-file-size=8M", "--innodb-autoextend-increment=4", "--innodb-flush-log-at-trx-commit=0"),
        ],
        {},
    )
    _wait_until(state, "munged", munged, (run / "munge.socket").is_socket)
    _wait_until(state, "mariadbd", mariadbd, lambda: _accepts_connections(run / "mariadb.socket"))

    held_ports["slurmdbd"].close()
    slurm_conf = {"SLURM_CONF": str(state / "slurm.conf")}
    database = {"MYSQL_UNIX_PORT": str(run / "mariadb.socket")}
    slurmdbd = start_daemon(state, "slurmdbd", ["slurmdbd", "-D"], slurm_conf | database)
    _wait_until(
        state, "slurmdbd", slurmdbd, lambda: _run_client(state, "sacctmgr", "-n", "list", "cluster") is not None
    )

    held_ports["slurmctld"].close()
    slurmctld = start_daemon(state, "slurmctld", ["slurmctld", "-D", "-i", "-f", f"{state}/slurm.conf"], slurm_conf)
    _wait_until(state, "slurmctld", slurmctld, lambda: _run_client(state, "sinfo", "-h") is not None)

    node_names = [name for name in held_ports if name not in ("slurmdbd", "slurmctld")]
    for name in node_names:
        held_ports[name].close()
    _start_slurmd(state, node_names)


def _start_slurmd(state: Path, node_names: list[str]) -> None:
    slurm_conf = str(state / "slurm.conf")
    started = {
        name: start_daemon(state, name, ["slurmd", "-D", "-N", name, "-f", slurm_conf], {"SLURM_CONF": slurm_conf})
        for name in node_names
    }
    for name, slurmd in started.items():
        _wait_until(state, name, slurmd, lambda name=name: _is_usable(state, name))


def _is_usable(state: Path, node: str) -> bool:
    # A node that comes back may be given a waiting job at once; a state that ends in * is one that does not answer.
    node_state = _run_client(state, "sinfo", "-h", "-n", node, "-p", "main", "-o", "%t")
    return node_state is not None and node_state.strip() in ("idle", "mix", "alloc", "comp")


def _accepts_connections(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _run_client(state: Path, *command: str) -> str | None:
    """Run one of SLURM's commands on this cluster; return what it prints, or None if it fails (log/client.stderr)."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SINFO_"))}
    environment["SLURM_CONF"] = str(state / "slurm.conf")
    with (state / "log/client.stderr").open("wb") as complaints:
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", *command],  # stop would not know the client of a starter that was killed
            env=environment,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            check=False,
        )
    return done.stdout if done.returncode == 0 else None


def _wait_until(state: Path, name: str, daemon: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while daemon.poll() is None and time.monotonic() < deadline:
        if is_ready():
            return
        time.sleep(0.05)
    log = state / "log" / f"{name}.stderr"
    if daemon.poll() is None:
        raise ClusterError(
            f"{name} did not get ready in {_PATIENCE:.0f} s.{_end_of(state / 'log/client.stderr')}{_end_of(log)}"
        )
    raise ClusterError(f"{name} ended with {daemon.returncode}.{_end_of(log)}")


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
    return f" The end of {log}:\n" + "\n".join(f"  {line}" for line in lines)
