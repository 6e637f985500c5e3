import pytest
import torch

from golden_arrays import ALL_CLIPS, golden_clip, read_golden
from parc.anim.clip_files import read_clip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points


@pytest.mark.parametrize("name", ALL_CLIPS)
def test_touched_cells_and_bounds_are_the_golden_ones_with_its_points(name, humanoid, clips_folder, golden_folder):
    golden = read_golden(golden_folder, f"clips_{name}")
    clip = golden_clip(clips_folder, golden_folder, humanoid, name)
    assert torch.equal(clip.touched.cells, golden["hf_mask_inds"].long())
    assert torch.equal(clip.touched.offsets, golden["hf_mask_offsets"].long())
    torch.testing.assert_close(clip.height_bounds, golden["hf_maxmin"], rtol=1e-6, atol=1e-6)
    whole = read_golden(golden_folder, "preprocessing")
    touched = torch.unique(clip.touched.cells, dim=0)
    assert torch.equal(touched, whole[f"{name}_mask_cells_whole_clip"].long())


@pytest.mark.parametrize("name", ALL_CLIPS)
def test_golden_clips_are_read_to_the_bit(name, humanoid, clips_folder, golden_folder):
    golden = read_golden(golden_folder, f"clips_{name}")
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    for ours, theirs in [
        (clip.root_pos, "root_pos"),
        (clip.contacts, "contacts"),
        (clip.terrain.heights, "hf"),
        (clip.terrain.min_point, "min_point"),
        (clip.height_bounds, "stored_hf_maxmin"),
    ]:
        assert torch.equal(ours, golden[theirs].float()), theirs
    # Quaternions off unit by rounding are made unit.
    torch.testing.assert_close(clip.root_rot, golden["root_rot"], rtol=0, atol=2e-6)
    torch.testing.assert_close(clip.joint_rot, golden["joint_rot"], rtol=0, atol=2e-6)
    assert clip.fps == golden["fps"]
    assert clip.loop_mode.value == golden["loop_mode"]
    assert clip.terrain.cell_size == pytest.approx(float(golden["dx"]), rel=1e-7)


def test_our_own_points_touch_nearly_the_same_cells(humanoid, clips_folder, golden_folder):
    """Points of capsules are moved by up to 2 cm, so that few cells change and none by more than one cell."""
    clip = read_clip(clips_folder / "civilization.pkl", humanoid)
    ours = preprocess_clip(clip, humanoid, surface_points(humanoid)).touched
    golden = read_golden(golden_folder, "clips_civilization")
    cells, offsets = golden["hf_mask_inds"].long(), golden["hf_mask_offsets"].long()
    changed = 0
    for frame in range(clip.num_frames):
        mine = ours.cells[ours.offsets[frame] : ours.offsets[frame + 1]]
        theirs = cells[offsets[frame] : offsets[frame + 1]]
        distance = (mine[:, None] - theirs).abs().amax(-1)
        assert distance.min(0).values.max() <= 1
        assert distance.min(1).values.max() <= 1
        changed += int((distance.min(0).values > 0).sum() + (distance.min(1).values > 0).sum())
    assert changed < 0.02 * len(cells)
