"""What a search provider is."""

from typing import NamedTuple, Protocol


class ProviderTerms(NamedTuple):
    """What a provider's terms allow to do with its results, for machines."""

    may_store: bool
    may_train: bool


class Hit(NamedTuple):
    """A URL and how well it fits, higher is better. Only the URL is used later."""

    url: str
    score: float


class SearchProvider(Protocol):
    """Finds URLs for a query."""

    @property
    def name(self) -> str:
        """Name under `search` in the configuration."""
        ...

    @property
    def terms(self) -> ProviderTerms:
        """What the provider allows."""
        ...

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first."""
        ...

    async def close(self) -> None:
        """Closes what it holds."""
        ...
