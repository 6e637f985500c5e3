"""A private SLURM on one machine: `python launch/testbed start STATE_DIR`, `python launch/testbed stop STATE_DIR`."""

import argparse
import os
import sys
from pathlib import Path

from cluster import ClusterError, kill_node, revive_node, start, stop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python launch/testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("start", "start a cluster and print the line that makes sbatch, squeue, sacct and submitit use it"),
        ("stop", "end a cluster and its jobs; does nothing where none is running"),
        ("kill-node", "let a node die with everything that runs on it"),
        ("revive-node", "bring a killed node back"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("state_dir", type=Path, metavar="STATE_DIR", help="folder with all of the cluster's files")
        if name == "start":
            command.add_argument("--nodes", type=int, default=2, help="number of nodes: n1, n2, ... (default 2)")
        elif name != "stop":
            command.add_argument("node", metavar="NODE", help="name of the node, n1 for example")
    return parser


def main() -> None:
    """Do what the command line says; a failure is one message and exit code 1."""
    arguments = _parser().parse_args()
    if os.geteuid() != 0:
        sys.exit("testbed: only root can do this (its daemons and jobs run as root, under a private /etc/hosts)")
    state = arguments.state_dir.resolve()
    try:
        if arguments.command == "start":
            slurm_conf = start(state, arguments.nodes)
            sys.stdout.write(f"export SLURM_CONF={slurm_conf}\n")
        elif arguments.command == "stop":
            stop(state)
        elif arguments.command == "kill-node":
            kill_node(state, arguments.node)
        else:
            revive_node(state, arguments.node)
    except (ClusterError, OSError) as error:
        sys.exit(f"testbed: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
