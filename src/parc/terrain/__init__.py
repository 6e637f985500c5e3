"""Heightfields, distances to the ground, generators, paths. Takes points, never characters."""
