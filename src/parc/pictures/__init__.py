"""Pictures of motions, datasets and runs."""
