# pyright: basic
"""The pages behind a release, without their text: who is named, and under which licences."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow.compute as pc

from castalia.records import LicenceDecision
from castalia.store import Store

_WORDS = re.compile(r"\s+(?:AND|OR|WITH)\s+|[()]", re.IGNORECASE)


class Source(NamedTuple):
    """One page."""

    id: str
    url: str
    topic: str
    licence: LicenceDecision


def read_sources(store: Store, pages: Iterable[str]) -> list[Source]:
    """The pages with these ids, by id."""
    wanted = pc.field("id").isin(sorted(pages))
    return [
        Source(row["id"], row["url"], row["topic"], LicenceDecision.model_validate(row["licence"]))
        for table in store.read_columns("pages", Source._fields)
        for row in table.filter(wanted).to_pylist()
    ]


def licences_of(sources: Sequence[Source]) -> list[str]:
    """Every SPDX expression that text of the sources is used under, that of parts with a licence of their own included, sorted."""
    texts = {source.licence.spdx for source in sources if source.licence.spdx}
    return sorted(texts | {part.spdx for source in sources for part in source.licence.parts if part.allowed})


def licence_addresses(expressions: Iterable[str]) -> list[str]:
    """What machines look a licence up by: the address of every id in SPDX expressions. SPDX has none for a LicenseRef, which stays as it is."""
    ids = {spdx for expression in expressions for spdx in _WORDS.split(expression) if spdx.strip()}
    return sorted(spdx if "LicenseRef-" in spdx else f"https://spdx.org/licenses/{spdx}" for spdx in map(str.strip, ids))
