import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.terrain.heightfield import Heightfield, laid_end_to_end
from parc.terrain.nearest_ground import distance_of_groups_above_ground
from parc.terrain.signed_distance import distance_above_ground


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 2.0]), st.integers(1, 12))
def test_the_distance_of_a_group_is_that_of_its_nearest_point(seed, roughness, side):
    """However rough the ground, beside the map too, it is what looking at every point gives."""
    generator = torch.Generator().manual_seed(seed)
    terrains = laid_end_to_end([
        Heightfield(roughness * torch.randn(side + extra, side, generator=generator), torch.tensor([-1.0, 0.5]), 0.4)
        for extra in (0, 3)
    ])  # fmt: skip
    points = torch.rand(6, 20, 3, generator=generator) * torch.tensor([6.0, 6.0, 4.0]) - torch.tensor([2.0, 1.0, 1.0])
    groups = torch.tensor([0] * 5 + [1] * 12 + [2] * 3)
    which = torch.tensor([0, 1, 0, 1, 1, 0])
    found = distance_of_groups_above_ground(points, groups, terrains, which)
    each = distance_above_ground(points, terrains, which)
    expected = torch.stack([each[:, groups == group].amin(1) for group in range(3)], dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
