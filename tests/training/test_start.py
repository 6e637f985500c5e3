"""What a start does not wait for."""

import subprocess
import sys


def test_who_generates_does_not_wait_for_torch_compile_to_load():
    """A library of rotations may load it, and torch's own switch to deterministic algorithms does: seconds at every start."""
    code = (
        "import sys, torch; import parc.motion_synthesis.stage; from parc.training.device import configure_torch; "
        "configure_torch(torch.device('cpu'), 1); print('torch._dynamo' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
