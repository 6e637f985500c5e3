"""Make motions physical: python -m parc.correct [--save-scene] [GROUP=OPTION ...] [KEY=VALUE ...] (conf/correct.yaml)."""

from parc.stages.command import run_verb


def as_overrides(arguments: list[str]) -> list[str]:
    """Return the arguments as Hydra takes them: --save-scene is `save_scene=true`."""
    return ["save_scene=true" if argument == "--save-scene" else argument for argument in arguments]


if __name__ == "__main__":
    run_verb("correct", as_overrides)
