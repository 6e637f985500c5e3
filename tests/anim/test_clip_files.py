"""Our own format: what is written is read again to the bit, and bad clips are refused in one line."""

import dataclasses
import math

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from golden_arrays import ALL_CLIPS
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.frames import Frames
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.configuration.errors import UserError
from synthetic_clips import random_clip


def assert_same_clip(first: MotionClip, second: MotionClip) -> None:
    for field in dataclasses.fields(MotionClip):
        ours, theirs = getattr(first, field.name), getattr(second, field.name)
        if field.name == "terrain":
            assert torch.equal(ours.heights, theirs.heights)
            assert torch.equal(ours.min_point, theirs.min_point)
            assert ours.cell_size == theirs.cell_size
        elif isinstance(ours, Frames) and theirs is not None:
            assert ours.same_as(theirs), field.name
        elif isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs), field.name
        else:
            assert ours == theirs, field.name


@pytest.mark.parametrize("name", ALL_CLIPS)
def test_clips_of_parc_written_in_our_format_are_the_same_clips(name, humanoid, clips_folder, tmp_path):
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    write_clip(tmp_path / f"{name}.safetensors", clip)
    assert_same_clip(read_clip(tmp_path / f"{name}.safetensors", humanoid), clip)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(2, 40),
    fps=st.floats(0.5, 1000),
    loop_mode=st.sampled_from(LoopMode),
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cell_size=st.floats(0.01, 2),
    bounds=st.booleans(),
    nodes=st.one_of(st.none(), st.integers(0, 5)),
    refined=st.booleans(),
)
def test_what_is_written_is_read_again_to_the_bit(
    humanoid, tmp_path, seed, frames, fps, loop_mode, cells, cell_size, bounds, nodes, refined
):
    clip = random_clip(humanoid, seed, frames=frames, fps=fps, loop_mode=loop_mode, cells=cells, cell_size=cell_size)
    clip = dataclasses.replace(
        clip,
        height_bounds=torch.rand(*cells, 2) if bounds else None,
        path_nodes=None if nodes is None else torch.rand(nodes, 3),
        unrefined=random_clip(humanoid, seed + 1, frames=frames).frames if refined else None,
    )
    path = tmp_path / "clip.safetensors"
    write_clip(path, clip)
    read = read_clip(path, humanoid)
    # Reading makes quaternions unit that rounding has left off by more than 1e-6; what was read once stays as it is.
    write_clip(path, read)
    assert_same_clip(read_clip(path, humanoid), read)
    torch.testing.assert_close(read.joint_rot, clip.joint_rot, atol=1e-6, rtol=0)
    if clip.unrefined is not None:
        assert read.unrefined is not None
        for name, values in vars(clip.unrefined).items():
            torch.testing.assert_close(getattr(read.unrefined, name), values, atol=1e-6, rtol=0)
    else:
        assert read.unrefined is None
    same = dataclasses.replace(read, joint_rot=clip.joint_rot, root_rot=clip.root_rot, unrefined=clip.unrefined)
    assert_same_clip(same, clip)


def test_a_clip_is_written_whole_and_leaves_nothing_else(humanoid, tmp_path):
    write_clip(tmp_path / "deep" / "er" / "clip.safetensors", random_clip(humanoid))
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["clip.safetensors"]


def test_a_clip_is_written_under_no_other_ending(humanoid, tmp_path):
    with pytest.raises(UserError, match=r"clip\.pkl: clips are written as \.safetensors"):
        write_clip(tmp_path / "clip.pkl", random_clip(humanoid))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def parts(humanoid, tmp_path):
    """Tensors and metadata of a good clip file, to spoil."""
    path = tmp_path / "good.safetensors"
    clip = random_clip(humanoid, cells=(4, 5))
    write_clip(path, dataclasses.replace(clip, unrefined=random_clip(humanoid, 1).frames))
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def refusal(tmp_path, humanoid, tensors, metadata) -> str:
    path = tmp_path / "bad.safetensors"
    safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)
    with pytest.raises(UserError) as caught:
        read_clip(path, humanoid)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "expected" in message
    assert "\n" not in message
    return message


def with_value(tensor: torch.Tensor, value: float) -> torch.Tensor:
    spoiled = tensor.clone()
    spoiled[-1] = value
    return spoiled


BAD_TENSORS = [
    ("joint_rot", "one joint too few", lambda t: t[:, :-1]),
    ("joint_rot", "one joint too many", lambda t: torch.cat([t, t[:, :1]], 1)),
    ("joint_rot", "other frames", lambda t: t[1:]),
    ("joint_rot", "not a number", lambda t: with_value(t, math.nan)),
    ("joint_rot", "not unit", lambda t: t * 1.0011),
    ("joint_rot", "zeros", torch.zeros_like),
    ("root_rot", "not unit", lambda t: t * 0.9989),
    ("root_rot", "infinite", lambda t: with_value(t, math.inf)),
    ("root_rot", "axis-angle", lambda t: t[:, :3]),
    ("root_pos", "not a number", lambda t: with_value(t, math.nan)),
    ("root_pos", "one frame", lambda t: t[:1]),
    ("root_pos", "no frames", lambda t: t[:0]),
    ("root_pos", "flat", lambda t: t.flatten()),
    ("root_pos", "whole numbers", lambda t: t.long()),
    ("contacts", "one body too few", lambda t: t[:, 1:]),
    ("contacts", "not labels", lambda t: t + 0.5),
    ("contacts", "not a number", lambda t: with_value(t, math.nan)),
    ("hf", "no cells", lambda t: t[:0]),
    ("hf", "no columns", lambda t: t[:, :0]),
    ("hf", "one axis", lambda t: t[0]),
    ("hf", "infinite", lambda t: with_value(t, -math.inf)),
    ("hf", "complex", lambda t: t.to(torch.complex64)),
    ("min_point", "three numbers", lambda _: torch.zeros(3)),
    ("min_point", "not a number", lambda t: with_value(t, math.nan)),
    ("hf_maxmin", "other cells", lambda _: torch.zeros(3, 3, 2)),
    ("hf_maxmin", "not a number", lambda _: torch.full((4, 5, 2), math.nan)),
    ("path_nodes", "two numbers", lambda _: torch.zeros(3, 2)),
    ("unrefined.root_pos", "other frames", lambda t: t[1:]),
    ("unrefined.root_pos", "not a number", lambda t: with_value(t, math.nan)),
    ("unrefined.root_rot", "not unit", lambda t: t * 1.0011),
    ("unrefined.joint_rot", "one joint too few", lambda t: t[:, 1:]),
    ("unrefined.contacts", "not labels", lambda t: t + 0.5),
    ("unrefined.contacts", "whole numbers", lambda t: t.long()),
]


@pytest.mark.parametrize(("field", "what", "spoil"), BAD_TENSORS, ids=[f"{f}: {w}" for f, w, _ in BAD_TENSORS])
def test_a_bad_field_is_refused_by_file_field_and_what_was_expected(parts, tmp_path, humanoid, field, what, spoil):
    tensors, metadata = parts
    message = refusal(tmp_path, humanoid, tensors | {field: spoil(tensors.get(field))}, metadata)
    assert field in message, what


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("fps", value) for value in ("0", "-30", "nan", "inf", "1e999", "1e-50", "fast", "")],
        *[("dx", value) for value in ("0", "-0.4", "nan", "inf", "1e-50", "wide")],
        *[("loop_mode", value) for value in ("clamp", "LOOP", "", "0")],
        *[("format", value) for value in ("parc motion clip 99", "parc motion library 1", "")],
    ],
)
def test_a_bad_number_or_mode_is_refused_by_file_field_and_what_was_expected(parts, tmp_path, humanoid, field, value):
    tensors, metadata = parts
    assert field in refusal(tmp_path, humanoid, tensors, metadata | {field: value})


FRAMES = ["root_pos", "root_rot", "joint_rot", "contacts"]


@pytest.mark.parametrize(
    "field",
    [*FRAMES, *(f"unrefined.{name}" for name in FRAMES), "hf", "min_point", "fps", "dx", "loop_mode", "format"],
)
def test_a_missing_field_is_named(parts, tmp_path, humanoid, field):
    tensors, metadata = ({name: value for name, value in part.items() if name != field} for part in parts)
    assert field in refusal(tmp_path, humanoid, tensors, metadata)


def test_a_clip_that_was_not_refined_has_no_other_frames_in_its_file(humanoid, tmp_path):
    write_clip(tmp_path / "clip.safetensors", random_clip(humanoid))
    with safe_open(tmp_path / "clip.safetensors", "pt") as file:
        assert set(file.keys()) == {*FRAMES, "hf", "min_point"}


def test_quaternions_off_unit_by_less_than_a_thousandth_are_made_unit(parts, tmp_path, humanoid):
    tensors, metadata = parts
    path = tmp_path / "near.safetensors"
    safetensors.torch.save_file(tensors | {"root_rot": tensors["root_rot"] * 1.0009}, path, metadata)
    clip = read_clip(path, humanoid)
    torch.testing.assert_close(clip.root_rot, tensors["root_rot"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.pkl", "clip.npz", "folder.safetensors", "clip"])
def test_what_is_no_clip_file_is_refused_in_one_line(humanoid, tmp_path, name):
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "clip.npz").touch()
    with pytest.raises(UserError, match=name.replace(".", r"\.")) as caught:
        read_clip(tmp_path / name, humanoid)
    assert "\n" not in str(caught.value)


def test_a_clip_of_another_character_is_refused(humanoid, tmp_path):
    from parc.anim.character import Character

    path = tmp_path / "clip.safetensors"
    write_clip(path, random_clip(humanoid))
    with pytest.raises(UserError, match=r"joint_rot has shape \[40, 14, 4\], expected \[40, 11, 4\]"):
        read_clip(path, Character(humanoid.bodies[:12]))
