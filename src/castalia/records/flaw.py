"""Why something an oracle wrote can't be used."""

from typing import NamedTuple


class Flaw(NamedTuple):
    """A reason code and the value that broke the rule."""

    reason: str
    detail: str
