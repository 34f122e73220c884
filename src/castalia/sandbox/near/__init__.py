"""Inputs nobody has seen, near the known ones of a task."""

from castalia.sandbox.near.draw import inputs_near

__all__ = ["inputs_near"]
