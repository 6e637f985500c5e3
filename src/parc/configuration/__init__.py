"""Composing and checking configs, error messages, files written whole. Imports no other folder."""
