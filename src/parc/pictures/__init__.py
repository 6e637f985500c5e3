"""Filmstrips, contact sheets, moving pictures, loss curves and plots of evaluations."""
