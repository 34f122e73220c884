"""SearXNG, one's own instance: `GET /search` with `q`, `format=json` and `pageno`; results under `results`.

The instance must allow the format (`search.formats: [html, json]` in its settings.yml), else it answers 403.
https://docs.searxng.org/dev/search_api.html
"""

from castalia.web.search.ask import Vendor, address, entries
from castalia.web.search.provider import Hit, ProviderTerms

_PAGES = 10


class SearXNG:
    """Results in the instance's order. What may be done with them is up to the engines behind it, so nothing is assumed."""

    terms = ProviderTerms(None, None, "the terms of the engines that the instance asks")

    def __init__(self, base_url: str, *, name: str = "searxng") -> None:
        self.name = name
        self._vendor = Vendor(name, base_url, {})

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first, over as many pages of the instance as that takes."""
        urls: dict[str, None] = {}
        for page in range(1, _PAGES + 1):
            answer = await self._vendor.get("/search", {"q": query, "format": "json", "pageno": page})
            before = len(urls)
            urls.update((address(self.name, entry), None) for entry in entries(self.name, answer, "results"))
            if len(urls) >= limit or len(urls) == before:
                break
        return [Hit(url, 1 / place) for place, url in enumerate(list(urls)[:limit], 1)]

    async def close(self) -> None:
        """Closes connections."""
        await self._vendor.close()
