# pyright: basic
"""Opt-outs that a page or a site states: X-Robots-Tag, TDM reservation (W3C TDMRep), AI preferences (AIPREF), ai.txt.

Each function returns the statement that refuses, for the report, or an empty string. Where a statement can be read in two ways the
refusing one counts; where it can't be read at all it says nothing.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from castalia.web.robots import Robots, RobotsAnswer, pieces_fit, refuses_ai_training

_REFUSING = frozenset({"noai", "noindex", "none", "noml", "notrain", "noaitrain"})
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
"""Directives of X-Robots-Tag that have a colon themselves; any other word before a colon names a crawler."""


def header_optout(headers: Mapping[str, str], user_agent: str) -> str:
    """The header that forbids use for training, as `Name: value`. Header names are lower-case, lines of X-Robots-Tag apart."""
    product = _product(user_agent)
    for line in headers.get("x-robots-tag", "").split("\n"):
        agent = ""
        for part in line.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and name.strip() not in _VALUED:  # a crawler's name governs the rest of its line
                agent, part = name.strip(), rest
            if agent in ("", "*", product) and set(part.split()) & _REFUSING:
                return f"X-Robots-Tag: {line.strip()[:100]}"
    if headers.get("tdm-reservation", "").strip() == "1":
        return "TDM-Reservation: 1"
    for name in ("content-usage", "content-signal"):
        if refuses_ai_training(headers.get(name, "")):
            return f"{name.title()}: {headers[name][:100]}"
    return ""


def meta_optout(metas: Mapping[str, str], user_agent: str) -> str:
    """The `<meta>` element that forbids use for training, as `name=content`. Names are lower-case."""
    for name in ("robots", _product(user_agent)):
        directives = {part.strip().lower() for part in re.split(r"[,;\s]+", metas.get(name, ""))}
        if directives & _REFUSING:
            return f"{name}={metas[name][:100]}"
    if "1" in re.split(r"[,\s]+", metas.get("tdm-reservation", "")):
        return "tdm-reservation=1"
    return ""


def site_optout(tdmrep: str, ai_txt: str, url: str, user_agent: str) -> str:
    """The file of the site that reserves `url`: `/.well-known/tdmrep.json` or `/ai.txt`, by their texts."""
    if tdmrep_optout(tdmrep, path_of(url)):
        return "/.well-known/tdmrep.json reserves text and data mining"
    if ai_txt_optout(ai_txt, url, user_agent):
        return "/ai.txt disallows use for AI"
    return ""


def tdmrep_optout(document: str, path: str) -> bool:
    """Whether `/.well-known/tdmrep.json` (W3C TDMRep) reserves `path`; the first rule that fits decides."""
    try:
        rules = json.loads(document)
    except (ValueError, RecursionError):
        return False
    for rule in rules if isinstance(rules, list) else []:
        location = rule.get("location") if isinstance(rule, dict) else None
        if isinstance(location, str) and _fits(location, path):
            return rule.get("tdm-reservation") in (1, "1", True)
    return False


def ai_txt_optout(document: str, url: str, user_agent: str) -> bool:
    """Whether `/ai.txt`, written like robots.txt with patterns such as `*.html`, disallows `url`. HTML is no ai.txt."""
    if "<html" in document[:2000].lower() or "disallow" not in document.lower():
        return False
    rules = Robots(RobotsAnswer(200, document), user_agent)
    return not rules.allows(url)


def path_of(url: str) -> str:
    """Path and query of a URL."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _product(user_agent: str) -> str:
    return user_agent.split("/")[0].strip().lower()


def _fits(location: str, path: str) -> bool:
    """Whether the pattern of a TDMRep rule matches."""
    return pieces_fit(location.removesuffix("$").split("*"), path, anchored=location.endswith("$"))
