"""Run a chain of iterations: python -m parc.pipeline iterations=[iter1,iter2,iter3] [GROUP=OPTION ...] [KEY=VALUE ...]."""

import argparse

from parc.configuration.messages import show_messages
from parc.configuration.paths import expanded_home
from parc.configuration.program import run_program


def main() -> None:
    """Read the command line and run the chain."""
    parser = argparse.ArgumentParser(
        prog="python -m parc.pipeline",
        description="Run the stages of each iteration in turn: here, or with hydra/launcher=slurm as jobs that wait for one "
        "another, sent at once. The same command again skips what is finished. Stages have resources of their own: "
        "stages.train.timeout_min=600, for instance.",
    )
    parser.add_argument("arguments", nargs="+", metavar="iterations=[...] KEY=VALUE", help="as of python -m parc.train")
    parser.add_argument("--config-dir", type=expanded_home, help="a folder of options of your own, a folder a group")
    options = parser.parse_intermixed_args()
    show_messages()
    from parc.cluster.chain import run_chain

    run_chain(options.arguments, options.config_dir)


if __name__ == "__main__":
    run_program(main)
