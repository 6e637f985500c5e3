"""How torch is configured to compute."""

import platform
import subprocess
import sys

import pytest
import torch
from training_runs import composed

from parc.stages.stage import read_run
from parc.training import train as training
from parc.training.device import configure_torch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _as_before():
    precision, tf32, mode = (
        torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.get_deterministic_debug_mode()
    )  # fmt: skip
    yield
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_deterministic_debug_mode(mode)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not told what to keep")
def test_tensors_do_not_fetch_the_memory_anew_that_others_left():
    code = (
        "import resource, torch; from parc.training.device import configure_torch; configure_torch(torch.device('cpu'), None)\n"
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
    configure_torch(CPU, None)
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
    exact = left.double() @ right.double()
    # Rounded to bfloat16, which has 8 bits, products would be a thousand times as far off.
    assert (left @ right - exact).abs().max() < 1e-6 * inner


def test_onednn_multiplies_where_it_does_not_round(monkeypatch):
    monkeypatch.setattr(torch, "equal", lambda *_: True)
    configure_torch(CPU, None)
    assert torch.get_float32_matmul_precision() == "medium"


def test_products_stay_with_mkl_on_a_cpu_that_would_round_them(monkeypatch):
    """Such as one with AMX, on which what oneDNN may round it does round."""
    rounding = torch.eye(256) * (1 + 2**-8)
    monkeypatch.setattr(torch, "eye", lambda size: rounding)
    configure_torch(CPU, None)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("tf32", "precision"), [(False, "highest"), (True, "high")])
def test_a_gpu_rounds_what_it_multiplies_only_where_that_is_asked_for(tf32, precision):
    configure_torch(GPU, None, tf32=tf32)
    assert torch.get_float32_matmul_precision() == precision
    assert torch.backends.cudnn.allow_tf32 is tf32


@pytest.mark.parametrize(("deterministic", "mode"), [(True, 1), (False, 0)])
def test_determinism_is_a_setting(deterministic, mode):
    configure_torch(CPU, None, deterministic=deterministic)
    assert torch.get_deterministic_debug_mode() == mode


@pytest.mark.parametrize(
    ("precision", "deterministic", "tf32"),
    [("fp32", True, False), ("tf32", True, True), ("bf16", False, False)],
)
def test_training_computes_as_its_config_says(monkeypatch, tmp_path, precision, deterministic, tf32):
    given = {}
    monkeypatch.setattr(training, "configure_torch", lambda *_, **how: given.update(how) or sys.exit())
    how = [f"trainer.precision={precision}", f"trainer.deterministic={str(deterministic).lower()}"]
    with pytest.raises(SystemExit):
        training.train(read_run(composed("dataset=demo", "device=cpu", f"output_dir={tmp_path}", *how)).settings)
    assert given == {"deterministic": deterministic, "tf32": tf32}
