"""How clips say by what they were made: in their files, in their mirror images, and in the table of a dataset."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from generated_clips import making
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.generated_clips import GeneratedClip, figures_by_terrain, figures_of
from parc.anim.making import Making
from parc.anim.mirror import mirror_clip
from parc.configuration.errors import UserError
from parc.dataset import build_dataset, parsed
from synthetic_clips import random_clip

NUMBERS = st.integers(0, 2**40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
MAKINGS = st.builds(
    Making,
    model=TEXTS,
    model_digest=st.text("0123456789abcdef"),
    seed=NUMBERS,
    number=NUMBERS,
    rollout=NUMBERS,
    candidate=NUMBERS,
    guidance_scale=st.floats(0, 1),
    losses=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    mirrored=st.booleans(),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MAKINGS)
def test_how_a_clip_was_made_is_read_as_it_was_written(humanoid, tmp_path, made):
    path = tmp_path / "clip.safetensors"
    write_clip(path, replace(random_clip(humanoid, frames=2, cells=(2, 2)), made=made))
    assert read_clip(path, humanoid).made == made


def test_a_clip_that_no_generator_made_says_nothing(humanoid, tmp_path):
    path = tmp_path / "clip.safetensors"
    write_clip(path, random_clip(humanoid))
    assert read_clip(path, humanoid).made is None
    with safe_open(path, "pt") as file:
        assert "made" not in file.metadata()


@settings(deadline=None, max_examples=20)
@given(MAKINGS)
def test_a_mirror_image_says_so_and_that_of_it_does_not(humanoid, made):
    clip = replace(random_clip(humanoid, frames=2), made=made)
    mirrored = mirror_clip(clip, humanoid)
    assert mirrored.made == replace(made, mirrored=not made.mirrored)
    assert mirrored.made is not None and mirrored.made.motion == made.motion
    assert mirror_clip(mirrored, humanoid).made == made


def spoiled(**changes) -> str:
    values = {**vars(making()), **changes}
    return json.dumps({name: value for name, value in values.items() if value is not ...})


BROKEN = [
    ("", "made: Invalid JSON"),
    ("{", "made: Invalid JSON"),
    ("[]", "made: Input should be an object"),
    ('"made"', "made: Input should be an object"),
    (spoiled(model=...), "made.model: Field required"),
    (spoiled(losses=...), "made.losses: Field required"),
    (spoiled(model=5), "made.model: Input should be a valid string"),
    (spoiled(seed="5"), "made.seed: Input should be a valid integer"),
    (spoiled(number=1.5), "made.number: Input should be a valid integer"),
    (spoiled(number=-1), "made: number is -1, expected 0 or more"),
    (spoiled(candidate=True), "made.candidate: Input should be a valid integer"),
    (spoiled(guidance_scale=1.5), "made: guidance_scale is 1.5, expected a share in 0..1"),
    (spoiled(guidance_scale=float("nan")), "made: guidance_scale is nan, expected a share in 0..1"),
    (spoiled(losses=[1.0]), "made.losses: Input should be an object"),
    (spoiled(losses={"total": "low"}), "made.losses.total: Input should be a valid number"),
    (spoiled(losses={"total": float("inf")}), "made: losses.total is inf, expected a finite number"),
    (spoiled(mirrored="no"), "made.mirrored: Input should be a valid boolean"),
    (spoiled(model="a\0b"), "made: a\0b: this name is not UTF-8 text"),
    (spoiled(model="\udce9"), "made: Invalid JSON"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_making_is_refused_by_file_field_and_what_was_expected(humanoid, tmp_path, text, said):
    path = tmp_path / "clip.safetensors"
    write_clip(path, random_clip(humanoid))
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    safetensors.torch.save_file(tensors, path, metadata | {"made": text})
    with pytest.raises(UserError) as caught:
        read_clip(path, humanoid)
    message = str(caught.value)
    assert message.startswith(f"{path}: {said}"), message
    assert "\n" not in message and len(message) < 600


def test_what_could_not_be_read_again_is_never_made():
    for changes in ({"seed": -1}, {"guidance_scale": -0.1}, {"losses": {"total": float("nan")}}):
        with pytest.raises(ValueError, match="expected"):
            making(**changes)
    with pytest.raises(UserError, match="not UTF-8 text"):
        making(model="caf\udce9")


def generated() -> list[GeneratedClip]:
    other = {"model": "b.ckpt", "model_digest": "bb" * 32, "guidance_scale": 0.65}
    return [
        GeneratedClip("stairs", 4.0, making(number=1, losses={"total": 1.0, "contact": 0.5})),
        GeneratedClip("stairs", 4.0, making(number=1, losses={"total": 1.0, "contact": 0.5}, mirrored=True)),
        GeneratedClip("stairs", 2.0, making(number=2, losses={"total": 4.0, "contact": 0.0})),
        GeneratedClip("boxes", 1.5, making(number=1, losses={"total": 7.0}, **other)),
    ]


def test_figures_are_means_over_motions_whose_mirror_images_count_as_clips_only():
    assert list(figures_by_terrain(generated())) == ["boxes", "stairs"]
    stairs = figures_by_terrain(generated())["stairs"]
    assert (stairs.clips, stairs.motions, stairs.seconds) == (3, 2, 10.0)
    assert stairs.losses == {"total": 2.5, "contact": 0.25}
    assert stairs.models == {"4f3a9c21": "output/iter1/p1_train_gen/final_model.ckpt"}
    total = figures_of(generated())
    assert (total.clips, total.motions, total.seconds) == (4, 3, 11.5)
    assert total.losses == {"total": 4.0, "contact": 0.25}  # the mean over those that have it
    assert total.guidance_scales == [0.5, 0.65]
    assert total.models["bbbbbbbb"] == "b.ckpt"


@pytest.fixture
def folder(humanoid, tmp_path):
    """Clips as the figures' test has them, and a recorded one."""
    for number, clip in enumerate(generated()):
        path = tmp_path / "clips" / clip.terrain / f"clip_{number}.safetensors"
        frames = round(clip.seconds * 30)
        write_clip(path, replace(random_clip(humanoid, frames=frames, cells=(4, 4)), made=clip.made))
    write_clip(tmp_path / "recorded" / "walk" / "walk.safetensors", random_clip(humanoid, frames=60, cells=(4, 4)))
    return tmp_path


def table_of(tmp_path, capsys, *sources: str) -> str:
    options = parsed(
        [*(str(tmp_path / source) for source in sources), "--no-picture", "--output", str(tmp_path / "m.yaml")]
    )
    build_dataset(options)
    return capsys.readouterr().out


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].replace("┃", "│").split("│")]


def test_the_verb_shows_generated_clips_in_a_table_of_their_own(folder, capsys):
    lines = table_of(folder, capsys, "clips", "recorded").splitlines()
    rows = {
        cells(line)[0]: cells(line)[1:] for line in lines[lines.index(next(ln for ln in lines if "generated" in ln)) :]
    }
    assert rows["generated"] == ["clips", "motions", "seconds", "total", "contact"]
    assert rows["boxes"] == ["1", "1", "1.5", "7.000", ""]
    assert rows["stairs"] == ["3", "2", "10.0", "2.500", "0.250"]
    assert rows["all"] == ["4", "3", "11.5", "4.000", "0.250"]
    assert "walk" not in rows
    assert "made by model 4f3a9c21 with guidance 0.5 (stairs): output/iter1/p1_train_gen/final_model.ckpt" in lines
    assert "made by model bbbbbbbb with guidance 0.65 (boxes): b.ckpt" in lines


def test_the_table_fits_a_narrow_terminal(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = table_of(folder, capsys, "clips")
    assert "…" not in said


def test_a_dataset_without_generated_clips_has_one_table(folder, capsys):
    said = table_of(folder, capsys, "recorded")
    assert "generated" not in said and "made by" not in said and "walk" in said
