"""Tavily: `POST /search` with `query` and `max_results` (at most 20), the key as a bearer token; results under `results`.

https://docs.tavily.com/documentation/api-reference/endpoint/search
"""

from castalia.web.search.ask import Vendor, address, entries
from castalia.web.search.provider import Hit, ProviderTerms

_MOST = 20


class Tavily:
    """Results in the vendor's order. Its extracted contents are not asked for; only URLs are used."""

    terms = ProviderTerms(None, None, "https://tavily.com/terms", "2025-11-24")

    def __init__(self, key: str, base_url: str, *, name: str = "tavily") -> None:
        self.name = name
        self._vendor = Vendor(name, base_url, {"Authorization": f"Bearer {key}"})

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first; the vendor gives 20 at most."""
        body = {"query": query, "max_results": min(limit, _MOST), "include_answer": False, "include_raw_content": False}
        found = entries(self.name, await self._vendor.post("/search", body), "results")[:limit]
        return [Hit(address(self.name, entry), 1 / place) for place, entry in enumerate(found, 1)]

    async def close(self) -> None:
        """Closes connections."""
        await self._vendor.close()
