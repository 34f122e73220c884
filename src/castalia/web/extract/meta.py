"""What a page says about its text: title, author, dates, language. Only what it states is believed; nothing is guessed from the text
but the language."""

import html as entities
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_META = re.compile(r"<meta\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LANGUAGE = re.compile(r"<html\b[^>]*?\s(?:xml:)?lang\s*=\s*[\"']?([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)", re.IGNORECASE)
_JSON_LD = re.compile(r"<script\b[^>]*application/ld\+json[^>]*>(.*?)</script", re.IGNORECASE | re.DOTALL)
_TIME = re.compile(r"<time\b([^>]*)>", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:\.\d+)?\s*(Z|[+-]\d{2}:?\d{2})?)?")
_PUBLISHED = (
    "article:published_time",
    "datepublished",
    "date",
    "dc.date",
    "dcterms.date",
    "dcterms.created",
    "pubdate",
    "publish-date",
    "parsely-pub-date",
    "citation_publication_date",
    "og:published_time",
)
_MODIFIED = ("article:modified_time", "datemodified", "last-modified", "dcterms.modified", "og:updated_time", "revised")
_AUTHORS = ("author", "article:author", "dc.creator", "dcterms.creator", "parsely-author", "citation_author", "sailthru.author", "byl")
_CONTENT_TYPES = re.compile(r"Article|Posting|Page|Report|Recipe|HowTo|Course|Book|CreativeWork|Question|Product|Review", re.IGNORECASE)
_NO_AUTHOR = re.compile(r"https?://|www\.|@|\b(?:admin|administrator|author|editor|staff|unknown|anonymous)\Z", re.IGNORECASE)
_MOST_ITEMS = 500


@dataclass(frozen=True)
class Metadata:
    """What the page states; empty where it doesn't."""

    title: str = ""
    """Of its head."""
    author: str = ""
    published: str = ""
    """ISO 8601, as precise as stated."""
    modified: str = ""
    language: str = ""
    """BCP 47."""
    description: str = ""
    bodies: tuple[str, ...] = field(default=())
    """Whole texts in JSON-LD: article bodies, posts and their answers."""


def read_metadata(html: str) -> Metadata:
    """Metadata of a page from its head, its meta elements, its JSON-LD and its first dated time element."""
    head_end = html.find("</head")
    head = html[: head_end if head_end > 0 else 100_000]
    metas = _metas(head)
    items = list(_items(html)) if "ld+json" in html else []
    content = [item for item in items if _CONTENT_TYPES.search(_kind(item))]
    title = _TITLE.search(head) or _TITLE.search(html)
    language = _LANGUAGE.search(html[:20_000])
    stated = language[1] if language else metas.get("og:locale") or metas.get("content-language") or ""
    return Metadata(
        title=_flat(entities.unescape(title[1])) if title else "",
        author=_author(content, metas),
        published=_date(
            [*(str(item.get("datePublished", "")) for item in content), *(metas.get(name, "") for name in _PUBLISHED), *_times(html)]
        ),
        modified=_date([*(str(item.get("dateModified", "")) for item in content), *(metas.get(name, "") for name in _MODIFIED)]),
        language=stated.split(",")[0].strip().replace("_", "-"),
        description=_flat(entities.unescape(metas.get("description") or metas.get("og:description") or "")),
        bodies=tuple(_bodies(items)),
    )


def _metas(head: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _META.findall(head)[:_MOST_ITEMS]:
        attributes = {name.lower(): double or single or bare for name, double, single, bare in _ATTRIBUTE.findall(match)}
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or attributes.get("http-equiv") or ""
        if name and attributes.get("content"):
            found.setdefault(name.lower(), attributes["content"].strip())
    return found


def _items(html: str) -> Iterator[dict[str, Any]]:
    """Objects of all JSON-LD, outer ones first."""
    for source in _JSON_LD.findall(html)[:20]:
        try:
            queue: list[Any] = [json.loads(source, strict=False)]
        except (ValueError, RecursionError):
            continue  # a page may carry broken JSON-LD: it then says nothing
        for count, value in enumerate(queue):  # grows while it is walked
            if count > _MOST_ITEMS:
                break
            if isinstance(value, list):
                queue.extend(cast("list[Any]", value)[:200])
            elif isinstance(value, dict):
                item = cast("dict[str, Any]", value)
                yield item
                queue.extend(cast("list[Any]", [inner for inner in item.values() if isinstance(inner, dict | list)]))


def _kind(item: dict[str, Any]) -> str:
    kind = item.get("@type", "")
    return " ".join(map(str, cast("list[Any]", kind))) if isinstance(kind, list) else str(kind)


def _bodies(items: list[dict[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    for item in items:
        for name in ("articleBody", "text", "reviewBody", "recipeInstructions"):
            value = item.get(name)
            if isinstance(value, str) and len(value) > 100 and value not in seen:
                seen.add(value)
                yield value


def _author(content: list[dict[str, Any]], metas: dict[str, str]) -> str:
    for item in content:
        names = _names(item.get("author") or item.get("creator"))
        if names:
            return ", ".join(dict.fromkeys(names))
    for name in _AUTHORS:
        if value := _person(metas.get(name, "")):
            return value
    return ""


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [name] if (name := _person(value)) else []
    if isinstance(value, dict):
        return _names(cast("dict[str, Any]", value).get("name"))
    if isinstance(value, list):
        return [name for item in cast("list[Any]", value)[:20] for name in _names(item)]
    return []


def _person(value: str) -> str:
    name = _flat(entities.unescape(value)).removeprefix("By ").removeprefix("by ")
    return "" if _NO_AUTHOR.search(name) or not 2 <= len(name) <= 100 else name


def _times(html: str) -> Iterator[str]:
    """The time elements that say they are of publication."""
    for raw in _TIME.findall(html)[:50]:
        attributes = {name.lower(): double or single or bare for name, double, single, bare in _ATTRIBUTE.findall(raw)}
        if "publish" in f"{attributes.get('itemprop', '')} {attributes.get('class', '')}".lower() or "pubdate" in raw.lower():
            yield attributes.get("datetime", "")


def _date(candidates: list[str]) -> str:
    for candidate in candidates:
        match = _DATE.search(candidate)
        if match is None:
            continue
        day = f"{match[1]}-{match[2]}-{match[3]}"
        zone = (match[6] or "").replace("Z", "+00:00")
        stamp = f"{day}T{match[4]}{match[5] or ':00'}{zone}" if match[4] else day
        try:
            datetime.fromisoformat(stamp)
        except ValueError:
            continue  # a date that no calendar has is none
        return stamp
    return ""


def _flat(text: str) -> str:
    return " ".join(text.split())
