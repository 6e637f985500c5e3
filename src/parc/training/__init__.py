"""Training: the loop, checkpoints, logging and ranks."""
