"""Composing, checking, messages and run folders; imports none of the other folders."""
