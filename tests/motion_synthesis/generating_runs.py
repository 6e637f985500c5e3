"""Runs of `python -m parc.generate` with a walker for a model: what they are asked for, and what they leave."""

from pathlib import Path

# A walker turns on the spot, on feet below the ground: all that it does is accepted, so that what is tested is the stage.
QUICK = [
    "model_packages=[walker]", "device=cpu", "threads=1", "terrain=flat", "terrain.cells_x=10", "terrain.cells_y=10",
    "path.min_distance=2.0", "rollout.candidates=3", "selection.max_contact=1000", "selection.max_penetration=1000",
    "selection.max_loss=1000", "selection.max_body_speed=null", "refinement=none", "paths_at_once=2",
    "rollout.ground_guidance=null",
]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Return all clips of a folder and the folders in it, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}
