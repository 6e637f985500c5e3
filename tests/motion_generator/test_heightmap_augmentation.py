import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_arrays import read_golden
from paper_settings import AUGMENTATION
from parc.configuration.errors import UserError
from parc.motion_generator.heightmap_augmentation import (
    HeightNoise,
    MaxpoolAndBoxes,
    NoAugmentation,
    cells_in_box,
    clamp_to_bounds,
    max_pool,
)

BATCH = 4000


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "augment")


@pytest.fixture(scope="module")
def many():
    return AUGMENTATION.draw(torch.Generator().manual_seed(0), BATCH, (31, 31))


def random_maps(seed, batch=40, shape=(31, 31)):
    """Heightmaps with bounds: a third of the cells frozen, a third with room, a third free."""
    generator = torch.Generator().manual_seed(seed)
    heightmap = torch.randn(batch, *shape, generator=generator) * 2
    room = torch.rand(batch, *shape, 2, generator=generator) * torch.tensor([2.0, -2.0])
    kind = torch.randint(0, 3, (batch, *shape, 1), generator=generator)
    bounds = torch.where(kind == 0, heightmap[..., None], heightmap[..., None] + room)
    return heightmap, torch.where(kind == 2, torch.tensor([6.0, -6.0]), bounds)


def test_pools_are_the_golden_ones(golden):
    heightmap, bounds, widths = golden["hf"], golden["hf_maxmin"], golden["pool_sizes"].long()
    none = torch.zeros_like(widths)
    for name, along_x, along_y in [
        ("maxpool2d", widths, widths),
        ("maxpool_x", widths, none),
        ("maxpool_y", none, widths),
    ]:
        ours = clamp_to_bounds(max_pool(heightmap, along_x, along_y), bounds)
        assert torch.equal(ours, golden[name]), name


def test_boxes_are_the_golden_ones(golden):
    boxes, batch = golden["boxes"].nan_to_num().float(), len(golden["boxes"])
    draws = {
        "flat": torch.zeros(batch, dtype=torch.bool),
        "flat_height": torch.zeros(batch),
        "pool_order": torch.arange(3).repeat(batch, 1),
        "pooled": torch.zeros(batch, 3, dtype=torch.bool),
        "pool_half_width": torch.zeros(batch, 3, dtype=torch.long),
        "num_boxes": golden["num_boxes"].long(),
        "box_centre": boxes[..., :2],
        "box_lengths": boxes[..., 2:4],
        "box_angle": boxes[..., 4],
        "box_height": boxes[..., 5],
    }
    assert torch.equal(AUGMENTATION.change(golden["hf"], golden["hf_maxmin"], draws), golden["boxes_out"])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(0, 12))
def test_a_pool_takes_the_largest_of_its_kernel_and_nothing_beside_the_map(seed, half_x, half_y):
    heightmap, _ = random_maps(seed, batch=2, shape=(9, 11))
    pooled = max_pool(heightmap, torch.tensor([half_x, 0]), torch.tensor([half_y, 0]))
    assert torch.equal(pooled[1], heightmap[1])
    row, column = seed % 9, seed % 11
    kernel = heightmap[0, max(row - half_x, 0) : row + half_x + 1, max(column - half_y, 0) : column + half_y + 1]
    assert pooled[0, row, column] == kernel.max()
    if half_x and half_y and half_x == half_y:
        whole = F.max_pool2d(heightmap[:1], 2 * half_x + 1, 1, padding=half_x) if half_x <= 4 else pooled[:1]
        assert torch.equal(pooled[:1], whole)


@pytest.mark.parametrize("seed", range(6))
def test_augmented_heights_always_keep_their_bounds(seed):
    heightmap, bounds = random_maps(seed, batch=12)
    generator = torch.Generator().manual_seed(seed)
    everything = MaxpoolAndBoxes(0.5, 1.0, 10, 4, 2.0, 12.0, 30.0)
    for augmentation in (AUGMENTATION, everything, HeightNoise(3.0), HeightNoise(30.0), NoAugmentation()):
        draws = augmentation.draw(generator, len(heightmap), (31, 31))
        changed = augmentation.change(heightmap, bounds, draws)
        frozen = bounds[..., 0] == bounds[..., 1]
        assert frozen.float().mean() > 0.3
        assert torch.equal(changed[frozen], heightmap[frozen])
        assert (changed <= torch.maximum(bounds[..., 0], heightmap)).all()
        if not isinstance(augmentation, NoAugmentation):
            assert (changed <= bounds[..., 0]).all()
            assert (changed >= bounds[..., 1]).all()
            assert not torch.equal(changed, heightmap)


def test_noise_spreads_over_the_room_that_cells_have():
    """The published bounds are swapped, so that every cell there becomes its lower one."""
    heightmap = torch.zeros(200, 31, 31)
    bounds = torch.tensor([2.0, -1.0]).expand(200, 31, 31, 2)
    noise = HeightNoise(3.0)
    changed = noise.change(heightmap, bounds, noise.draw(torch.Generator().manual_seed(0), 200, (31, 31)))
    assert (changed == -1).float().mean() == pytest.approx(2 / 6, abs=0.01)
    assert (changed == 2).float().mean() == pytest.approx(1 / 6, abs=0.01)
    inside = changed[(changed > -1) & (changed < 2)]
    assert inside.mean() == pytest.approx(0.5, abs=0.01)
    assert torch.histc(inside, 6, -1, 2).std() / inside.numel() < 0.01


def test_no_augmentation_leaves_heights_as_they_are():
    heightmap, bounds = random_maps(0)
    none = NoAugmentation()
    assert torch.equal(none.change(heightmap, bounds, none.draw(torch.Generator(), 40, (31, 31))), heightmap)


def test_draws_have_the_chances_and_ranges_of_the_paper(many):
    share = {name: many[name].float().mean().item() for name in ("flat", "pooled")}
    assert share["flat"] == pytest.approx(0.1, abs=0.02)
    assert share["pooled"] == pytest.approx(0.15, abs=0.02)
    assert many["pool_order"].sort(1).values.unique(dim=0).tolist() == [[0, 1, 2]]
    assert len(many["pool_order"].unique(dim=0)) == 6
    for name, low, high in [
        ("flat_height", -3, 3),
        ("box_centre", 0, 31),
        ("box_lengths", 2, 12),
        ("box_angle", 0, 2 * torch.pi),
        ("box_height", -3, 3),
    ]:
        values = many[name]
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    for name, largest in (("pool_half_width", 10), ("num_boxes", 4)):
        counts = torch.bincount(many[name].flatten()) / many[name].numel()
        assert len(counts) == largest + 1
        assert counts.tolist() == pytest.approx([1 / (largest + 1)] * (largest + 1), rel=0.2)


def test_a_flat_map_has_one_height_where_it_is_free():
    flat = MaxpoolAndBoxes(1.0, 0.0, 10, 0, 2.0, 12.0, 3.0)
    heightmap, bounds = random_maps(3)
    draws = flat.draw(torch.Generator().manual_seed(0), 40, (31, 31))
    changed = flat.change(heightmap, bounds, draws)
    free = bounds[..., 0] == 6
    assert torch.equal(changed[free], draws["flat_height"][:, None, None].expand_as(changed)[free])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31))
def test_cells_of_a_box_are_those_strictly_inside_a_turned_rectangle(seed):
    generator = torch.Generator().manual_seed(seed)
    centre, lengths = torch.rand(1, 2, generator=generator) * 9, torch.rand(1, 2, generator=generator) * 8 + 1
    angle = torch.rand(1, generator=generator) * 7
    inside = cells_in_box(torch.Size((9, 9)), centre, lengths, angle)[0]
    turn = torch.complex(torch.cos(angle), torch.sin(angle))
    for row in range(9):
        for column in range(9):
            offset = turn * torch.complex(row - centre[0, 0], column - centre[0, 1])
            margins = lengths[0] / 2 - torch.tensor([offset.real.abs(), offset.imag.abs()])
            if margins.abs().min() > 1e-4:  # rounding decides on the very border
                assert inside[row, column] == bool((margins > 0).all())


@pytest.mark.parametrize(
    ("name", "value"),
    [("flat_chance", 1.1), ("pool_chance", -0.1), ("max_boxes", -1), ("max_height", -1.0), ("max_box_length", 1.0)],
)
def test_settings_out_of_range_are_refused_by_key(name, value):
    with pytest.raises(UserError, match=rf"sampler\.augmentation\.{name} is"):
        MaxpoolAndBoxes(**(vars(AUGMENTATION) | {name: value}))
    with pytest.raises(UserError, match="max_height"):
        HeightNoise(0.0)
