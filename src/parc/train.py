"""Train a motion diffusion model: python -m parc.train [GROUP=OPTION ...] [KEY=VALUE ...]; --help shows more."""

from parc.stages.command import run_verb

if __name__ == "__main__":
    run_verb("train")
