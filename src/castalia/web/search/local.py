"""A search index in a file, for air-gapped use: JSON lines with `url`, `title` and `text`."""

import json
from pathlib import Path

from castalia.errors import ConfigError
from castalia.web.search.provider import Hit, ProviderTerms
from castalia.web.search.ranking import PageText, Ranking


class LocalIndex:
    """Ranks the lines of a file. Nothing is stored elsewhere, so the terms allow everything."""

    name = "local"
    terms = ProviderTerms(may_store=True, may_train=True, source="your own file")

    def __init__(self, path: Path) -> None:
        pages: dict[str, PageText] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if not line:
                continue
            try:
                entry = json.loads(line)
                pages[entry["url"]] = PageText(entry.get("title", ""), (), entry.get("text", ""))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigError(
                    f'{str(path)!r} line {number} is no index entry: write {{"url": ..., "title": ..., "text": ...}}'
                ) from error
        self._ranking = Ranking(pages)

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first."""
        return [Hit(url, score) for url, score in self._ranking.rank(query)[:limit]]

    async def close(self) -> None:
        """Nothing is held."""
