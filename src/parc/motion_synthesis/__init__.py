"""Motions out of a trained model: rollouts along paths, what is measured of them, choosing."""
