"""What a search provider is."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

TermsUse = Literal["store", "train"]


class ProviderTerms(NamedTuple):
    """What a provider's terms allow to do with its results, for machines. None: not known, which is no permission."""

    may_store: bool | None
    may_train: bool | None
    source: str = ""
    """Where that is written, or what was said where nothing is."""
    dated: str = ""
    """The date that the source bears, as far as it was seen; ISO 8601."""

    def unmet(self, wanted: Iterable[TermsUse]) -> list[TermsUse]:
        """The uses that are not known to be allowed."""
        return [use for use in wanted if {"store": self.may_store, "train": self.may_train}[use] is not True]


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
