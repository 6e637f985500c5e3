"""What a start does not wait for."""

import platform
import subprocess
import sys

import pytest


def test_who_generates_does_not_wait_for_torch_compile_to_load():
    """A library of rotations may load it, and torch's own switch to deterministic algorithms does: seconds at every start."""
    code = (
        "import sys; import parc.motion_synthesis.stage; from parc.training.device import compute_deterministically; "
        "compute_deterministically(1); print('torch._dynamo' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not told what to keep")
def test_tensors_do_not_fetch_the_memory_anew_that_others_left():
    code = (
        "import resource, torch; from parc.training.device import keep_freed_memory; keep_freed_memory()\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use(): torch.ones(2**20, requires_grad=True).exp().sin().sum().backward()\n"  # each of 4 MB: a thousand pages
        "use(); before = faults()\n"
        "for _ in range(100): use()\n"
        "print(faults() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 40_000
