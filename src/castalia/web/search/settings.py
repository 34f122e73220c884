"""Search providers as configured: which, where, and the name of the environment variable with the key."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import ConfigError
from castalia.web.search.provider import ProviderTerms, SearchProvider, TermsUse

Kind = Literal["brave", "exa", "tavily", "searxng", "common_crawl", "local"]
_KEYS: Mapping[str, str] = {"brave": "BRAVE_API_KEY", "exa": "EXA_API_KEY", "tavily": "TAVILY_API_KEY"}
_PLACES: Mapping[str, str] = {
    "brave": "https://api.search.brave.com",
    "exa": "https://api.exa.ai",
    "tavily": "https://api.tavily.com",
    "common_crawl": "https://data.commoncrawl.org",
}


class StatedTerms(BaseModel):
    """What your agreement with a provider allows: it counts instead of what is known of the vendor's terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    may_store: bool | None = Field(default=None, description="Whether results may be stored; null for what is not said.")
    may_train: bool | None = Field(default=None, description="Whether models may be trained on what was found by them.")
    source: str = Field(min_length=1, description="Where that is written: the plan, a contract, the terms as you read them, with the date.")


class SearchSettings(BaseModel):
    """How a search provider is asked. Without settings, a name in `sources.search` is its own kind with that kind's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="Which adapter.")
    key_env: str = Field(default="", description="Environment variable with the key; empty for the usual one of the kind.")
    base_url: str = Field(default="", description="Where its API is; needed for searxng, else the vendor's.")
    path: str = Field(default="", description="File of `local`, or a folder with a copy of Common Crawl's index instead of its URL.")
    crawl: str = Field(default="", description="Crawl of `common_crawl`, e.g. CC-MAIN-2026-40.")
    terms: StatedTerms | None = Field(default=None, description="What your plan allows, where that is more or less than is known.")
    sites: tuple[str, ...] = Field(default=(), description="URL prefixes that `common_crawl` looks below; it knows no words.")


def open_providers(
    names: Iterable[str], settings: Mapping[str, SearchSettings], required: Sequence[TermsUse] = ()
) -> dict[str, SearchProvider]:
    """The providers that `sources.search` names, `site` and `sitemap` apart, which need none.

    Raises ConfigError for an unknown name, a missing key or a missing setting, and for a provider whose terms are not known to allow
    what is `required`, before anything is asked.
    """
    opened = {name: _open(name, settings.get(name)) for name in names if name not in ("site", "sitemap")}
    for name, provider in opened.items():
        terms = terms_of(provider, settings.get(name))
        if unmet := terms.unmet(required):
            known = {use: {True: "allowed", False: "forbidden", None: "not known"}[getattr(terms, f"may_{use}")] for use in unmet}
            raise ConfigError(
                f"sources.search_terms demands {list(required)!r}, but of search provider {name!r} is "
                f"{', '.join(f'{use!r} {state}' for use, state in known.items())} (see {terms.source}); leave the provider out, or state what "
                f"your plan allows as search.{name}.terms, e.g. {{{', '.join(f'may_{use}: true' for use in unmet)}, source: where it says so}}"
            )
    return opened


def terms_of(provider: SearchProvider, settings: SearchSettings | None) -> ProviderTerms:
    """What the user's agreement allows where that is stated, else what is known of the vendor's terms."""
    if settings is None or settings.terms is None:
        return provider.terms
    stated = settings.terms
    return ProviderTerms(stated.may_store, stated.may_train, f"stated by configuration: {stated.source}")


def _open(name: str, settings: SearchSettings | None) -> SearchProvider:
    if settings is None:
        if name not in (*_KEYS, "searxng", "common_crawl", "local"):
            raise ConfigError(f"search provider {name!r} is unknown; there are site, sitemap, {', '.join([*_PLACES, 'searxng', 'local'])}")
        settings = SearchSettings.model_validate({"kind": name})
    place = settings.base_url or _PLACES.get(settings.kind, "")
    match settings.kind:
        case "local":
            from castalia.web.search.local import LocalIndex

            return LocalIndex(Path(_needed(name, "path", settings.path)))
        case "searxng":
            from castalia.web.search.searxng import SearXNG

            return SearXNG(_needed(name, "base_url", place), name=name)
        case "common_crawl":
            from castalia.web.search.common_crawl import CommonCrawl

            if not settings.sites:
                raise ConfigError(f"search provider {name!r} knows no words: give it search.{name}.sites, URL prefixes to look below")
            crawl = settings.crawl if settings.path else _needed(name, "crawl", settings.crawl)
            return CommonCrawl(settings.path or place, crawl, settings.sites, name=name)
        case "brave":
            from castalia.web.search.brave import Brave

            return Brave(_key(name, settings), place, name=name)
        case "exa":
            from castalia.web.search.exa import Exa

            return Exa(_key(name, settings), place, name=name)
        case "tavily":
            from castalia.web.search.tavily import Tavily

            return Tavily(_key(name, settings), place, name=name)


def _needed(name: str, field: str, value: str) -> str:
    if not value:
        raise ConfigError(f"search provider {name!r} needs search.{name}.{field}")
    return value


def _key(name: str, settings: SearchSettings) -> str:
    variable = settings.key_env or _KEYS[settings.kind]
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"search provider {name!r} needs a key in the environment variable {variable}; it is empty or not set")
    return key
