"""Puts this folder on the import path, so that rooms share `small_world`."""
