"""Search providers: from queries to URLs. Pages are always fetched by ourselves, so licence, robots and archive evidence are ours."""

from castalia.web.search.local import LocalIndex
from castalia.web.search.provider import Hit, ProviderTerms, SearchProvider

__all__ = ["Hit", "LocalIndex", "ProviderTerms", "SearchProvider"]
