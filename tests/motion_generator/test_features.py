import dataclasses
import re

import pytest
import torch

from golden_arrays import read_golden, rotation_distance
from paper_settings import golden_statistics, standing_frames
from parc.anim.frames import Frames
from parc.configuration.errors import UserError
from parc.motion_generator.feature_statistics import RunningStatistics
from parc.motion_generator.features import (
    FeatureStatistics,
    Motion,
    MotionFeatures,
    RotationType,
    read_statistics,
)
from synthetic_clips import random_rotations

WINDOWS = {"num_frames": 15, "num_previous_states": 2, "fps": 30.0, "relative_z_style": "RELATIVE_TO_ROOT"}


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "features")


@pytest.fixture(scope="module")
def golden_motion(golden_folder):
    samples = read_golden(golden_folder, "samples")
    return Motion(*(samples[f"root_{field.name}"] for field in dataclasses.fields(Motion)))


def random_motion(humanoid, seed: int, batch: int = 4) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    dofs = torch.randn(batch, 15, humanoid.num_dofs, generator=generator)
    frames = Frames(
        torch.randn(batch, 15, 3, generator=generator),
        random_rotations(generator, batch, 15),
        humanoid.rotations_from_dofs(dofs),
        torch.rand(batch, 15, humanoid.num_bodies, generator=generator),
    )
    return MotionFeatures(humanoid, RotationType.DEFAULT).posed(frames)


def test_features_are_laid_out_as_golden(humanoid, golden):
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    ends = torch.tensor(features.sizes).cumsum(0)
    assert ends.tolist() == golden["slice_stop"].tolist()
    assert features.num_features == 91
    assert MotionFeatures(humanoid, RotationType.ROT_6D).num_features == 3 + 6 + 42 + 84 + 15


def test_encoded_and_standardised_motions_are_the_golden_ones(humanoid, golden, golden_motion, golden_folder):
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    statistics = golden_statistics(golden_folder)
    encoded = features.encode(golden_motion)
    standardised = statistics.standardise(encoded)
    # The published exponential map divides by |v| + 1e-5, which makes angles smaller by up to about 1e-4.
    rotations = torch.zeros(91, dtype=torch.bool)
    rotations[3:6] = rotations[48:76] = True
    torch.testing.assert_close(encoded, golden["unstandardized"], rtol=1e-4, atol=1e-4)
    exact = encoded[..., ~rotations], golden["unstandardized"][..., ~rotations]
    torch.testing.assert_close(*exact, rtol=1e-6, atol=1e-6)
    within = 1e-4 / statistics.std * rotations + 2e-6
    assert ((standardised - golden["standardized"]).abs() <= within + 1e-5 * golden["standardized"].abs()).all()


def test_decoded_motions_are_the_golden_ones(humanoid, golden, golden_folder):
    features, statistics = MotionFeatures(humanoid, RotationType.DEFAULT), golden_statistics(golden_folder)
    for kind, source in (("clean", "standardized"), ("perturbed", "perturbed")):
        motion = features.decode(statistics.unstandardise(golden[source]))
        for name in ("root_pos", "joint_pos", "contacts"):
            torch.testing.assert_close(getattr(motion, name), golden[f"{kind}_{name}"], rtol=1e-5, atol=1e-6)
        for name in ("root_rot", "joint_rot"):
            assert rotation_distance(getattr(motion, name), golden[f"{kind}_{name}"]).max() < 2e-6


def test_projected_features_are_the_golden_ones(humanoid, golden, golden_folder):
    features, statistics = MotionFeatures(humanoid, RotationType.DEFAULT), golden_statistics(golden_folder)
    ours = statistics.standardise(features.project(statistics.unstandardise(golden["perturbed"])))
    torch.testing.assert_close(ours, golden["perturbed_projected"], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("rotation_type", list(RotationType))
@pytest.mark.parametrize("seed", range(5))
def test_motions_go_to_features_and_back(humanoid, rotation_type, seed):
    features, motion = MotionFeatures(humanoid, rotation_type), random_motion(humanoid, seed)
    back = features.decode(features.encode(motion))
    for name in ("root_pos", "joint_pos", "contacts"):
        assert torch.equal(getattr(back, name), getattr(motion, name))
    for name in ("root_rot", "joint_rot"):
        assert rotation_distance(getattr(back, name), getattr(motion, name)).max() < 5e-6
    generator = torch.Generator().manual_seed(seed)
    statistics = FeatureStatistics(*(torch.rand(2, 15, features.num_features, generator=generator) + 0.1))
    encoded = features.encode(motion)
    torch.testing.assert_close(statistics.unstandardise(statistics.standardise(encoded)), encoded, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rotation_type", list(RotationType))
def test_projecting_makes_joint_positions_agree_with_rotations_and_is_done_once(humanoid, rotation_type):
    features = MotionFeatures(humanoid, rotation_type)
    encoded = features.encode(random_motion(humanoid, 0))
    encoded = encoded + 0.3 * torch.randn(encoded.shape, generator=torch.Generator().manual_seed(0))
    projected = features.project(encoded)
    motion = features.decode(projected)
    body_pos, _ = humanoid.forward_kinematics(motion.root_pos, motion.root_rot, motion.joint_rot)
    torch.testing.assert_close(motion.joint_pos, body_pos[..., 1:, :], atol=1e-5, rtol=1e-5)
    assert motion.contacts.min() >= 0
    assert motion.contacts.max() <= 1
    torch.testing.assert_close(features.project(projected), projected, atol=1e-5, rtol=1e-5)
    untouched = [0, 1]  # root position, root rotation
    before, after = encoded.split(features.sizes, -1), projected.split(features.sizes, -1)
    assert all(torch.equal(before[part], after[part]) for part in [*untouched, 3])


def test_statistics_in_parts_are_those_of_all_at_once(humanoid):
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    encoded = features.encode(random_motion(humanoid, 1, batch=50)) * 0.01 + 100  # a mean far above the spread
    running = RunningStatistics(features, 15)
    for part in encoded.split(7):
        running.add(part)
    statistics = running.statistics()
    double = encoded.double()
    torch.testing.assert_close(statistics.mean[:, :-15], double.mean(0).float()[:, :-15])
    torch.testing.assert_close(statistics.std[:, :-15], double.std(0).float()[:, :-15], rtol=1e-4, atol=1e-6)
    assert (statistics.mean[:, -15:] == 0).all()
    assert (statistics.std[:, -15:] == 1).all()


def test_features_that_never_change_have_the_smallest_deviation(humanoid):
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    running = RunningStatistics(features, 15)
    running.add(features.encode(features.posed(standing_frames(3, humanoid))))
    assert (running.statistics().std[:, :-15] == 1e-5).all()


def test_statistics_go_to_the_file_and_back_to_the_bit(tmp_path):
    statistics = FeatureStatistics(torch.randn(15, 91), torch.rand(15, 91) + 1e-5)
    statistics.write(tmp_path / "sampler_stats.txt", WINDOWS)
    for windows in (WINDOWS, None):
        again = read_statistics(tmp_path / "sampler_stats.txt", 15, 91, windows)
        assert torch.equal(again.mean, statistics.mean)
        assert torch.equal(again.std, statistics.std)


@pytest.mark.parametrize(("name", "other"), [("fps", 60.0), ("relative_z_style", "RELATIVE_TO_ROOT_FLOOR")])
def test_statistics_of_other_windows_are_refused_by_setting(tmp_path, name, other):
    path = tmp_path / "sampler_stats.txt"
    FeatureStatistics(torch.zeros(2, 3), torch.ones(2, 3)).write(path, WINDOWS)
    expected = f"sampler.{name} is {other}, but the statistics in {path} are of windows with {WINDOWS[name]}; expected"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}"):
        read_statistics(path, 2, 3, WINDOWS | {name: other})


def test_statistics_as_parc_writes_them_are_read(tmp_path):
    path = tmp_path / "sampler_stats.txt"
    path.write_text("mean:\n- - 0.5\n  - 1\n- - 1.0e-3\n  - -2\nstd:\n- [1, 2.0]\n- [3.0, 4.0]\n")
    statistics = read_statistics(path, 2, 2, WINDOWS)  # it does not say which windows they are of
    torch.testing.assert_close(statistics.mean, torch.tensor([[0.5, 1], [0.001, -2]]))
    assert statistics.std.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "text",
    [
        "", "mean: 1", "mean: [[1, 2]]", "mean: [[1, 2]]\nstd: [[1, x]]", "mean: [[1, 2]]\nstd: [[1, 2], [3]]",
        "mean: [[1, 2, 3]]\nstd: [[1, 2, 3]]", "mean: [[1, .nan]]\nstd: [[1, 1]]", "mean: [[1, 2]]\nstd: [[1, 0]]",
        "mean: [[1, 2]]\nstd: [[1, -1]]", "mean: [[1, 2]]\nstd: [[1, .inf]]", "mean: [", "[]", "3", "mean: null\nstd: {}",
        "mean: [[1, 2]]\nstd: [[1, 1]]\nwindows: 3", "mean: [[1, 2]]\nstd: [[1, 1]]\nwindows: null",
        "mean: !!python/object/apply:os.system ['true']\nstd: [[1, 1]]",
    ],
)  # fmt: skip
def test_broken_statistics_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "sampler_stats.txt"
    path.write_text(text)
    with pytest.raises(UserError, match="expected") as caught:
        read_statistics(path, 1, 2)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_statistics_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_statistics(tmp_path / "sampler_stats.txt", 15, 91)
