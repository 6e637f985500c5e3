"""Filmstrips, contact sheets and loss curves."""
