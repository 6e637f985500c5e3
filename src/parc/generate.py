"""Generate motions with a trained model: python -m parc.generate [GROUP=OPTION ...] [KEY=VALUE ...] (conf/generate.yaml)."""

from parc.stages.command import run_verb

if __name__ == "__main__":
    run_verb("generate")
