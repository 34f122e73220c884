"""Brave Search: `GET /res/v1/web/search` with `q`, `count` (at most 20) and `offset` (pages, 0 to 9); results under `web.results`.

https://api-dashboard.search.brave.com/documentation
"""

from castalia.errors import SearchFailed
from castalia.web.search.ask import Vendor, address, entries
from castalia.web.search.provider import Hit, ProviderTerms

_PAGE = 20
_PAGES = 10


class Brave:
    """Results in the vendor's order. What may be done with them depends on the plan; only URLs are used."""

    terms = ProviderTerms(None, None, "https://api-dashboard.search.brave.com/terms-of-service", "2026-02-11")

    def __init__(self, key: str, base_url: str, *, name: str = "brave") -> None:
        self.name = name
        self._vendor = Vendor(name, base_url, {"X-Subscription-Token": key})

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first; the vendor gives 200 at most."""
        hits: list[Hit] = []
        for page in range(_PAGES):
            count = min(_PAGE, limit - len(hits))
            if count <= 0:
                break
            answer = await self._vendor.get("/res/v1/web/search", {"q": query, "count": count, "offset": page})
            if "web" not in answer:  # how it says that there is nothing (more)
                if "query" not in answer:
                    raise SearchFailed(f"search provider {self.name!r} answered without 'web' and 'query'; its API may have changed")
                break
            found = entries(self.name, answer, "web", "results")
            hits += [Hit(address(self.name, entry), 1 / (len(hits) + place)) for place, entry in enumerate(found, 1)]
            if len(found) < count:
                break
        return hits[:limit]

    async def close(self) -> None:
        """Closes connections."""
        await self._vendor.close()
