"""Which clips are named when a run is to go on with others than it began with."""

from pathlib import Path

import pytest

from parc.anim.clip_files import write_clip
from parc.anim.dataset import ClipDataset, ClipEntry, write_manifest
from parc.anim.library_cache import open_prepared_clips
from parc.configuration.errors import UserError
from parc.training.starting import refuse_other_clips
from synthetic_clips import random_clip


@pytest.fixture
def clips(humanoid, tmp_path) -> Path:
    for number, kind in enumerate(("run", "run", "walk")):
        write(humanoid, tmp_path / "clips" / kind / f"clip{number}.safetensors", number)
    return tmp_path / "clips"


def write(humanoid, path: Path, seed: int, frames: int = 20) -> None:
    write_clip(path, random_clip(humanoid, seed, frames=frames, cells=(8, 8)))


def digests(humanoid, source: Path) -> dict[str, str]:
    dataset = ClipDataset(str(source), 15, 1001, 1001, [])
    folder = source.parent / "prepared"
    return open_prepared_clips(folder, dataset.entries(), dataset.limits, humanoid, 14 / 30).digests


def refusal(now: dict[str, str], before: dict[str, str]) -> str:
    with pytest.raises(UserError) as caught:
        refuse_other_clips(Path("run"), now, before)
    return str(caught.value).partition("; put them back")[0].removeprefix("run was started with other clips ")


def test_only_clips_are_named_that_changed_appeared_or_vanished(humanoid, clips):
    before = digests(humanoid, clips)
    refuse_other_clips(Path("run"), before, before)
    # Each of these changes the weights of all clips.
    write(humanoid, clips / "run/clip1.safetensors", seed=7, frames=30)
    assert refusal(digests(humanoid, clips), before) == "(changed: clip1)"
    write(humanoid, clips / "walk/clip3.safetensors", seed=3)
    (clips / "run/clip0.safetensors").unlink()
    assert refusal(digests(humanoid, clips), before) == "(gone: clip0; new: clip3; changed: clip1)"


def test_clips_of_another_weight_are_named_where_nothing_else_has_changed(humanoid, clips, tmp_path):
    paths = sorted(clips.rglob("*.safetensors"))
    found = []
    for weights in ((1.0, 1.0, 1.0), (1.0, 2.0, 1.0)):
        clips_now = [ClipEntry(path, "", weight) for path, weight in zip(paths, weights, strict=True)]
        write_manifest(tmp_path / "motions.yaml", clips_now)
        found.append(digests(humanoid, tmp_path / "motions.yaml"))
    assert refusal(found[1], found[0]) == "(changed or of another weight: clip1)"


def test_checkpoints_of_older_versions_kept_one_checksum(humanoid, clips):
    now = digests(humanoid, clips)
    before = {name: digest[:8] for name, digest in now.items()}
    refuse_other_clips(Path("run"), now, before)
    assert refusal(now, before | {"clip1": "00000000"}) == "(changed or of another weight: clip1)"
