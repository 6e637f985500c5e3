"""Measurements of what users wait for, each beside a yardstick measured in turns with it. Not part of any run."""
