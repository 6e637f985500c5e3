"""The training loop: batches, resuming, held-out numbers, logging, ranks."""
