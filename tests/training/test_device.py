"""How torch is configured to compute."""

import platform
import subprocess
import sys

import pytest
import torch

from parc.training.device import configure_torch

products = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(autouse=True)
def _as_before():
    before = products.fp32_precision
    yield
    products.fp32_precision = before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not told what to keep")
def test_tensors_do_not_fetch_the_memory_anew_that_others_left():
    code = (
        "import resource, torch; from parc.training.device import configure_torch; configure_torch(None)\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use(): torch.ones(2**20, requires_grad=True).exp().sin().sum().backward()\n"  # each of 4 MB: a thousand pages
        "use(); before = faults()\n"
        "for _ in range(100): use()\n"
        "print(faults() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 40_000


@pytest.mark.parametrize("sizes", [(480, 128, 512), (5248, 256, 256), (3, 7, 2)])
def test_products_of_matrices_keep_single_precision(sizes):
    rows, inner, columns = sizes
    configure_torch(None)
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
    exact = left.double() @ right.double()
    # Rounded to bfloat16, which has 8 bits, products would be a thousand times as far off.
    assert (left @ right - exact).abs().max() < 1e-6 * inner


def test_products_stay_with_mkl_on_a_cpu_that_would_round_them(monkeypatch):
    """Such as one with AMX, on which what oneDNN may round it does round."""
    rounding = torch.eye(256) * (1 + 2**-8)
    monkeypatch.setattr(torch, "eye", lambda size: rounding)
    configure_torch(None)
    assert products.fp32_precision == "ieee"
