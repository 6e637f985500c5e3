"""Sweeps and chains here and on SLURM: jobs, their states and their tables."""
