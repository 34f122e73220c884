# pyright: basic
"""Opt-outs that a response or a site states: X-Robots-Tag, TDM reservation, AI preferences."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from castalia.web.robots import refuses_ai_training

_REFUSING = frozenset({"noai", "noindex", "none", "noml", "notrain"})


def header_optout(headers: Mapping[str, str], user_agent: str) -> str:
    """The header that forbids use for training, as `Name: value`, or an empty string. Header names are lower-case."""
    product = user_agent.split("/")[0].strip().lower()
    for rule in headers.get("x-robots-tag", "").split(","):
        scope, colon, directives = rule.strip().lower().rpartition(":")
        if (not colon or scope.strip() == product) and directives.strip() in _REFUSING:
            return f"X-Robots-Tag: {rule.strip()}"
    if headers.get("tdm-reservation", "").strip() == "1":
        return "TDM-Reservation: 1"
    usage = headers.get("content-usage", "")
    if usage and refuses_ai_training(usage):
        return f"Content-Usage: {usage[:100]}"
    return ""


def meta_optout(metas: Mapping[str, str], user_agent: str) -> str:
    """The `<meta>` element that forbids use for training, as `name=content`, or an empty string. Names are lower-case."""
    product = user_agent.split("/")[0].strip().lower()
    for name in ("robots", product):
        directives = {part.strip().lower() for part in re.split(r"[,\s]+", metas.get(name, ""))}
        if directives & _REFUSING:
            return f"{name}={metas[name][:100]}"
    if metas.get("tdm-reservation", "").strip() == "1":
        return "tdm-reservation=1"
    return ""


def tdmrep_optout(document: str, path: str) -> bool:
    """Whether `/.well-known/tdmrep.json` (W3C TDMRep) reserves `path`; the first rule that fits decides."""
    try:
        rules = json.loads(document)
    except ValueError:
        return False
    for rule in rules if isinstance(rules, list) else []:
        location = rule.get("location") if isinstance(rule, dict) else None
        if isinstance(location, str) and _fits(location, path):
            return rule.get("tdm-reservation") == 1
    return False


def path_of(url: str) -> str:
    """Path and query of a URL."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _fits(location: str, path: str) -> bool:
    body, end = (location[:-1], r"\Z") if location.endswith("$") else (location, "")
    return re.match(".*".join(re.escape(part) for part in body.split("*")) + end, path) is not None
