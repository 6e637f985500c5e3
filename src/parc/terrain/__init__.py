"""Terrain: heightfields, touched cells and bounds, distances to the ground, generators, paths. Takes points, never characters."""
