"""Exa: `POST /search` with `query` and `numResults` (at most 100), key in `x-api-key`; results under `results`.

https://docs.exa.ai/reference/search
"""

from castalia.web.search.ask import Vendor, address, entries
from castalia.web.search.provider import Hit, ProviderTerms

_MOST = 100


class Exa:
    """Results in the vendor's order. No contents are asked for; only URLs are used."""

    terms = ProviderTerms(None, None, "https://exa.ai/assets/Exa_Labs_Terms_of_Service.pdf")

    def __init__(self, key: str, base_url: str, *, name: str = "exa") -> None:
        self.name = name
        self._vendor = Vendor(name, base_url, {"x-api-key": key})

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first; the vendor gives 100 at most."""
        answer = await self._vendor.post("/search", {"query": query, "numResults": min(limit, _MOST)})
        found = entries(self.name, answer, "results")[:limit]
        return [Hit(address(self.name, entry), 1 / place) for place, entry in enumerate(found, 1)]

    async def close(self) -> None:
        """Closes connections."""
        await self._vendor.close()
