"""Measure a model or clips: python -m parc.evaluate PATH [PATH ...] [--preset NAME] [KEY=VALUE ...] (conf/evaluate.yaml)."""

from parc.evaluation.arguments import as_overrides
from parc.stages.command import run_verb

if __name__ == "__main__":
    run_verb("evaluate", as_overrides)
