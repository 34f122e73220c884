"""The only door to the network: polite fetching, an archive of every answer, search, licences.

The names below are loaded on first use, so that the parsing worker starts without the network stack.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castalia.web.request import FetchLimits
    from castalia.web.service import Web, open_web

__all__ = ["FetchLimits", "Web", "open_web"]


def __getattr__(name: str) -> Any:
    if name == "FetchLimits":
        from castalia.web.request import FetchLimits

        return FetchLimits
    if name in ("Web", "open_web"):
        from castalia.web import service

        return getattr(service, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
