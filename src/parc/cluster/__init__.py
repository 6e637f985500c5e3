"""Submitting jobs, their states and their tables."""
