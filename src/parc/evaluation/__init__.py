"""How good a model's motions are, or clips: measured on the same ground and paths for all, beside the training clips."""
