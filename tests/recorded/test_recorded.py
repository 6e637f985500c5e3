"""The code computes what it computed when it was recorded (see `record.py`), on any machine and without the shared folder."""

import dataclasses

import pytest
import safetensors.torch
import torch
from record import RECORDING, made_clips
from sections import CLIPS, SECTIONS, character, computed

from parc.anim.clip_files import read_clip

# Of the numbers themselves and a tenth of it of the largest, where not otherwise: gradients are sums that nearly cancel, and
# the optimiser divides by them. Measured on processors with and without AVX: 1e-6, 5e-4, 1e-3 and 8e-3.
TOLERANCE = 1e-4
WIDER = {"gradients/": 3e-3, "training/": 5e-3, "training/rows.grad_norm": 3e-2}
# Of heights on a grid, some points lie so near to the border of a cell that they may fall on either side of it.
SHARE_OF_CELLS = 0.005


@pytest.fixture(scope="module")
def recorded():
    return safetensors.torch.load_file(RECORDING)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_as_recorded(recorded, section):
    ours = computed(section, recorded)
    assert ours.keys() == {name for name in recorded if name.startswith(f"{section}/")}
    far_off = {}
    for name, array in ours.items():
        expected = recorded[name].double()
        assert array.shape == expected.shape, name
        assert array.dtype == recorded[name].dtype, name
        tolerance = max([share for start, share in WIDER.items() if name.startswith(start)], default=TOLERANCE)
        allowed = tolerance * (expected.abs() + 0.1 * expected.abs().max())
        off = ~((array.double() - expected).abs() <= allowed)
        if off.double().mean() > (SHARE_OF_CELLS if name.endswith(".map") else 0):
            far_off[name] = f"{int(off.sum())} of {off.numel()}, by up to {(array.double() - expected).abs().max():.2g}"
    assert not far_off


def test_the_demo_clips_are_as_recorded():
    clips = made_clips()
    assert sorted(f"{clip.name}.safetensors" for clip in clips) == sorted(path.name for path in CLIPS.iterdir())
    for clip in clips:
        recorded = read_clip(CLIPS / f"{clip.name}.safetensors", character())
        for field in dataclasses.fields(clip):
            ours, expected = getattr(clip, field.name), getattr(recorded, field.name)
            if isinstance(ours, torch.Tensor):
                torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)
            elif field.name != "terrain":
                assert ours == expected
        torch.testing.assert_close(clip.terrain.heights, recorded.terrain.heights, rtol=1e-4, atol=1e-4)
