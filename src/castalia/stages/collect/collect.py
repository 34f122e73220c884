"""Queries become pages whose licence was decided. Everything seen goes to the archive; what isn't kept becomes a reject.

Pages hold nothing that depends on when or in which order they were fetched, so a crawl that was killed and continued
ends with the same bytes.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import Params
from castalia.errors import ConfigError, NoLicensedPages, UnreachableSite
from castalia.records import LicenceDecision, LicenceEvidence, Page, Provenance, Query, Reject
from castalia.stages.collect.topics import Topics, assign_queries
from castalia.web.bodies import looks_missing
from castalia.web.licences import Policy, decide, file_evidence, page_evidence
from castalia.web.optout import meta_optout
from castalia.web.search.site import Discovered
from castalia.web.service import Web
from castalia.web.urls import canonical_url, folder_of, same_site, site_root

_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_HITS_PER_QUERY = 10


class CollectParams(Params):
    """Which pages may be collected."""

    sites: tuple[str, ...] = Field((), description="URLs to start from; pages below their folders are collected.")
    max_pages: int = Field(ge=1, description="Most pages that are asked for, per site and for all other hits together.")
    licences: str | tuple[str, ...] = Field("permissive", description="`permissive`, or the allowed SPDX ids.")
    licence_files: tuple[str, ...] = Field((), description="More places with licence evidence, relative to each site, e.g. `/PKG-INFO`.")
    include: tuple[str, ...] = Field((), description="Regular expressions; with any, a URL must match one.")
    exclude: tuple[str, ...] = Field((), description="Regular expressions; a URL that matches one is not asked for.")
    search: tuple[str, ...] = Field(("site",), description="Search providers: `site` explores the sites, others are asked each query.")


async def collect_pages(inputs: Mapping[str, Sequence[Query]], params: CollectParams, ctx: Context) -> AsyncIterator[Page | Reject]:
    """Pages under an allowed licence, with the queries that led to them, and a reject for every other page that was asked.

    Raises UnreachableSite when a site gives no page at all, NoLicensedPages when pages came but none is allowed.
    """
    web: Web = ctx.service("web")
    policy = Policy.named(params.licences)
    queries = inputs["queries"]
    wanted = _url_filter(params)
    found = await _discover(web, params, wanted, queries, ctx.progress)
    if "site" in params.search:
        _require_reachable(params.sites, found)
    topics = assign_queries([item for items in found.values() for item in items], queries)
    kept, refused = 0, list[LicenceDecision]()
    for source, items in found.items():
        evidence = await _site_evidence(web, source, params) if source else []
        planned = _planned(queries, source)
        for item in items:
            site = evidence if source else await _site_evidence(web, item.fetched.final_url, params)
            result, decision = _judge(web, item, site, policy, topics, planned)
            kept += isinstance(result, Page)
            if decision is not None and not isinstance(result, Page):
                refused.append(decision)
            yield result
    if not kept:
        raise NoLicensedPages(_explain(found, refused, params))


async def _discover(
    web: Web, params: CollectParams, wanted: Callable[[str], bool], queries: Sequence[Query], progress: Callable[[int], None]
) -> dict[str, list[Discovered]]:
    """Outcomes by the site they belong to; those of other providers under an empty name."""
    found: dict[str, list[Discovered]] = {}
    if "site" in params.search:
        for site in params.sites:
            items = found.setdefault(site, [])
            async for item in web.discover(site, wanted, params.max_pages):
                items.append(item)
                progress(1)
    urls: dict[str, None] = {}
    for name in params.search:
        if name != "site":
            provider = web.provider(name)
            for query in queries:
                hits = await provider.search(query.text, _HITS_PER_QUERY)
                urls.update((url, None) for hit in hits if (url := canonical_url(hit.url)) and wanted(url))
    for url in list(urls)[: params.max_pages]:
        fetched = await web.fetch(url)
        facts = await web.facts(fetched) if fetched.media_type == "text/html" and not fetched.problem else {}
        found.setdefault("", []).append(Discovered(fetched, facts))
        progress(1)
    return found


def _url_filter(params: CollectParams) -> Callable[[str], bool]:
    try:
        include, exclude = ([re.compile(pattern) for pattern in patterns] for patterns in (params.include, params.exclude))
    except re.error as error:
        raise ConfigError(f"include or exclude hold {error.pattern!r}, which is no regular expression: {error}") from error
    return lambda url: (not include or any(rule.search(url) for rule in include)) and not any(rule.search(url) for rule in exclude)


def _require_reachable(sites: Sequence[str], found: Mapping[str, list[Discovered]]) -> None:
    for site in sites:
        items = found.get(site, [])
        if not any(item.fetched.status == 200 and not item.fetched.problem for item in items):
            first = items[0].fetched if items else None
            why = f"{first.problem}: {first.detail}" if first else "nothing was asked"
            raise UnreachableSite(
                f"site {site!r} gave no page ({why}). Check the address and the network; the range of a private address must be "
                f"named in execution.allow_private, and robots.txt must allow the crawler"
            )


async def _site_evidence(web: Web, site: str, params: CollectParams) -> list[LicenceEvidence]:
    """Evidence files at the root and in the folder of the site, and those that the configuration names."""
    places = [*(f"{site_root(site)}{name}" for name in _LICENCE_FILES), *(f"{folder_of(site)}{name}" for name in _LICENCE_FILES)]
    named = [url for name in params.licence_files if (url := canonical_url(name, site))]
    evidence: list[LicenceEvidence] = []
    for url in dict.fromkeys([*named, *places]):
        fetched = await web.fetch(url)
        if fetched.problem or fetched.media_type == "text/html":
            continue
        item = file_evidence(fetched.final_url, web.text(fetched))
        if item is not None and not any(item.sha256 == other.sha256 for other in evidence):
            evidence.append(item)
    return evidence


def _judge(
    web: Web, item: Discovered, site: Sequence[LicenceEvidence], policy: Policy, topics: Topics, planned: tuple[str, ...]
) -> tuple[Page | Reject, LicenceDecision | None]:
    fetched, facts = item
    if fetched.problem:
        return _reject(fetched.url, fetched.problem, fetched.detail), None
    if fetched.media_type != "text/html":
        return _reject(fetched.url, "not-html", fetched.media_type), None
    if "problem" in facts:
        return _reject(fetched.url, facts["problem"], facts["detail"]), None
    if looks_missing(facts["title"] or facts["heading"], len(facts["text"].split())):
        return _reject(fetched.url, "soft-404", (facts["title"] or facts["heading"])[:200]), None
    refusal = meta_optout(facts["metas"], web.user_agent)
    if refusal:
        return _reject(fetched.url, "opt-out", refusal), None
    decision = decide([*page_evidence(fetched.final_url, facts["licences"]), *site], policy)
    if decision.verdict != "allowed":
        reason = {"abstain": "licence-unknown", "contradiction": "licence-contradiction"}.get(decision.verdict, "licence-not-allowed")
        return _reject(fetched.url, reason, decision.reason), decision
    queries, topic = topics.of(fetched.url)
    page = Page(
        url=_canonical(fetched.final_url, facts),
        media_type=fetched.media_type,
        html=web.text(fetched),
        body_sha256=fetched.body_sha256,
        licence=decision,
        queries=queries,
        topic=topic,
        provenance=Provenance(parents=queries or planned),
    )
    return page, decision


def _planned(queries: Sequence[Query], site: str) -> tuple[str, ...]:
    """The queries that a page of `site` was looked for with when none fits it best: those for the site, else all."""
    own = tuple(query.id for query in queries if site and query.site == site)
    return own or tuple(query.id for query in queries)


def _canonical(url: str, facts: Mapping[str, Any]) -> str:
    """What the page calls its canonical address, if that stays on the site."""
    stated = canonical_url(facts["canonical"], url) if facts["canonical"] else None
    return stated if stated and same_site(stated, url) else canonical_url(url) or url


def _reject(url: str, reason: str, detail: str) -> Reject:
    return Reject(stage="collect", subject=url, reason=reason, detail=detail)


def _explain(found: Mapping[str, list[Discovered]], refused: Sequence[LicenceDecision], params: CollectParams) -> str:
    asked = sum(map(len, found.values()))
    reasons = list(dict.fromkeys(decision.reason for decision in refused))[:3]
    seen = "; ".join(reasons) if reasons else "no page reached the licence check"
    places = sorted({item.url for decision in refused for item in decision.evidence})[:5]
    return (
        f"none of {asked} pages of {list(params.sites)!r} may be used under licences={params.licences!r}: {seen}. "
        f"{f'Evidence was read at {places}. ' if places else ''}If a file states the licence, name it in sources.licence_files (e.g. "
        f"'/LICENSE'); if a licence was refused that you may use, allow it by its SPDX id in sources.licences"
    )
