"""Terrain: heightfields, touched cells and bounds, distances to the ground. Takes points, never characters."""
