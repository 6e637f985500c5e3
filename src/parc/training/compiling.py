"""Training steps whose forward and backward passes are one compiled program."""

import logging

from parc.configuration.errors import UserError
from parc.motion_generator.mdm import MDM, DiffusionDraws
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MotionWindows

log = logging.getLogger(__name__)


def compile_passes(model: MDM, windows: MotionWindows, draws: DiffusionDraws, autocast: bool) -> None:
    """Have torch.compile make one program of a model's forward and backward passes, which torch keeps for later runs.

    Args:
        model: to be trained; its weights keep their names, and have no gradients afterwards.
        windows, draws: a batch of the size that it will be trained on, on its device.
        autocast: run the denoiser in bfloat16.

    Raises:
        UserError: torch cannot compile here, say for want of a C++ compiler.
    """
    from torch._dynamo.exc import TorchDynamoException  # which takes seconds to load

    log.info("compiling the training step; this takes a minute or two, and less where it was done before")
    model.compile(dynamic=False)
    try:
        model(windows, draws, autocast=autocast).sum().backward()
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"trainer.compile is true, but torch.compile failed ({reason}); it needs a C++ compiler, and for GPUs Triton. "
            "Give trainer.compile=false to train without"
        ) from error
    model.zero_grad(set_to_none=True)
