"""Hosts that usually publish under an open licence. They are asked first; whether a page may be used is decided by its own evidence."""

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import NamedTuple

from castalia.web.licences import Policy
from castalia.web.urls import host_of


class OpenHost(NamedTuple):
    """A host (its subdomains included) and the licence that its pages usually state."""

    host: str
    spdx: str


def open_hosts(policy: Policy) -> list[OpenHost]:
    """The known hosts whose usual licence the policy allows, by name."""
    return [known for known in _known() if policy.allows(known.spdx)]


def open_first(urls: Iterable[str], policy: Policy) -> list[str]:
    """The URLs with those of such hosts first; otherwise in the order given."""
    names = {known.host for known in open_hosts(policy)}
    return sorted(urls, key=lambda url: not _covered(host_of(url).partition(":")[0], names))


def _covered(host: str, names: set[str]) -> bool:
    labels = host.split(".")
    return any(".".join(labels[start:]) in names for start in range(len(labels)))


@cache
def _known() -> tuple[OpenHost, ...]:
    text = resources.files("castalia.web.search").joinpath("openly_licensed.json").read_text(encoding="utf-8")
    return tuple(OpenHost(**entry) for entry in json.loads(text))
