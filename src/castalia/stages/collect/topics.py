"""Which queries led to which page, and the topic it fits best."""

from collections.abc import Mapping, Sequence
from typing import Any

from castalia.records import Query
from castalia.web.search.ranking import PageText, Ranking, terms

_BEST = 5
"""A query leads to so many pages at most."""
_LEAST_SHARE = 0.4
"""And only to pages with at least this share of its best score ..."""
_LEAST_WORDS = 0.6
"""... that have at least this share of its words: some page is the best for any words."""


class Topics:
    """Query ids and topic by URL."""

    def __init__(self, scores: Mapping[str, Sequence[tuple[float, Query]]]) -> None:
        self._scores = scores

    def of(self, url: str) -> tuple[tuple[str, ...], str]:
        """Ids of the queries that led to `url`, sorted, and the node of the best one; empty where none did."""
        scored = self._scores.get(url, ())
        if not scored:
            return (), ""
        best = min(scored, key=lambda item: (-item[0], item[1].id))
        return tuple(sorted({query.id for _, query in scored})), best[1].node


class TopicIndex:
    """Pages as they come, by the words that the queries ask for; the pages themselves are not kept."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries
        self._ranking = Ranking(words={word for query in queries for word in terms(query.text)})

    def add(self, url: str, facts: Mapping[str, Any]) -> None:
        """One page with its facts; a page that could not be read counts for nothing."""
        if self._queries and "text" in facts:
            self._ranking.add(url, PageText(facts["title"], tuple(facts["headings"]), facts["text"]))

    def topics(self) -> Topics:
        """Ranks all pages for every query; a query with a site leads only to pages below it."""
        scores: dict[str, list[tuple[float, Query]]] = {}
        for query in self._queries:
            ranked = [(url, score) for url, score in self._ranking.rank(query.text) if not query.site or url.startswith(query.site)]
            for url, score in ranked[:_BEST]:
                if score >= _LEAST_SHARE * ranked[0][1] and self._ranking.share(url, query.text) >= _LEAST_WORDS:
                    # A long query sums more words: its best score is the measure for how well a page fits it.
                    scores.setdefault(url, []).append((score / ranked[0][1], query))
        return Topics(scores)
