"""Search providers as configured: which, where, and the name of the environment variable with the key."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import ConfigError
from castalia.web.search.provider import SearchProvider

Kind = Literal["brave", "exa", "tavily", "searxng", "common_crawl", "local"]
_KEYS: Mapping[str, str] = {"brave": "BRAVE_API_KEY", "exa": "EXA_API_KEY", "tavily": "TAVILY_API_KEY"}
_PLACES: Mapping[str, str] = {
    "brave": "https://api.search.brave.com",
    "exa": "https://api.exa.ai",
    "tavily": "https://api.tavily.com",
    "common_crawl": "https://data.commoncrawl.org",
}


class SearchSettings(BaseModel):
    """How a search provider is asked. Without settings, a name in `sources.search` is its own kind with that kind's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="Which adapter.")
    key_env: str = Field(default="", description="Environment variable with the key; empty for the usual one of the kind.")
    base_url: str = Field(default="", description="Where its API is; needed for searxng, else the vendor's.")
    path: str = Field(default="", description="File of `local`, or a folder with a copy of Common Crawl's index instead of its URL.")
    crawl: str = Field(default="", description="Crawl of `common_crawl`, e.g. CC-MAIN-2026-40.")
    sites: tuple[str, ...] = Field(default=(), description="URL prefixes that `common_crawl` looks below; it knows no words.")


def open_providers(names: Iterable[str], settings: Mapping[str, SearchSettings]) -> dict[str, SearchProvider]:
    """The providers that `sources.search` names, `site` and `sitemap` apart, which need none.

    Raises ConfigError for an unknown name, a missing key or a missing setting, before anything is asked.
    """
    return {name: _open(name, settings.get(name)) for name in names if name not in ("site", "sitemap")}


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
