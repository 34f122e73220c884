"""Puts this folder on the import path, so that rooms share `small_world`."""

import signal

# A job that a shell started in the background ignores SIGINT, and so would every child that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
