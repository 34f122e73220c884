"""The only door to the network: polite fetching, an archive of every answer, search, licences."""

from castalia.web.fetch import FetchLimits
from castalia.web.service import Web, open_web

__all__ = ["FetchLimits", "Web", "open_web"]
