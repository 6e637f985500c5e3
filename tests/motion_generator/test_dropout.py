"""Dropout with cheap random bits is dropout."""

import pytest
import torch

from parc.motion_generator.dropout import dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_dropped_and_the_mean_stays(share, dtype):
    torch.manual_seed(0)
    count = 400_000
    kept = dropout(torch.ones(count, dtype=dtype), share)
    deviation = (share * (1 - share) / count) ** 0.5
    assert float((kept == 0).float().mean()) == pytest.approx(share, abs=5 * deviation)
    scale = 1 / (1 - share)
    assert kept[kept != 0].float().unique().tolist() == pytest.approx(
        [scale], rel=1e-3 if dtype == torch.float32 else 1e-2
    )


def test_each_number_is_dropped_by_itself():
    torch.manual_seed(0)
    dropped = dropout(torch.ones(2000, 500), 0.3) == 0
    rows, columns = dropped.float().mean(1), dropped.float().mean(0)
    assert float(rows.std()) == pytest.approx((0.3 * 0.7 / 500) ** 0.5, rel=0.1)
    assert float(columns.std()) == pytest.approx((0.3 * 0.7 / 2000) ** 0.5, rel=0.15)
    neighbours = (dropped[:, 1:] & dropped[:, :-1]).float().mean()
    assert float(neighbours) == pytest.approx(0.3**2, abs=0.002)


def test_the_seed_decides_what_is_dropped_and_every_call_drops_other_numbers():
    numbers = torch.ones(100, 7)
    torch.manual_seed(3)
    first, second = dropout(numbers, 0.5), dropout(numbers, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(numbers, 0.5))
    assert not torch.equal(first, second)


def test_gradients_pass_where_numbers_are_kept():
    numbers = torch.randn(50, 3, requires_grad=True)
    kept = dropout(numbers, 0.4)
    kept.sum().backward()
    assert torch.equal(numbers.grad == 0, kept == 0)


def test_a_share_of_zero_drops_nothing():
    numbers = torch.randn(50)
    assert torch.equal(dropout(numbers, 0.0), numbers)
