"""Heightfields, touched cells, distances to the ground. Takes points, never characters."""
