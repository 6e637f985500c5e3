"""Motions out of a trained model: rollouts, choosing among them, refining, tidying, and how good they are (stage 2)."""
