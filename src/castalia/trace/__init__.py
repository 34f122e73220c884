"""Where a record comes from and what became of it: up to pages, licence evidence and raw answers; down to what was made from it."""

from castalia.trace.steps import Step
from castalia.trace.trace import trace

__all__ = ["Step", "trace"]
