"""Correction of motions by physics: the model of a character on its terrain, what finds controls for it, outside trackers."""
