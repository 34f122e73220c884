"""What became of every page of a collection, counted while the records go by: nothing is held but counts and a few examples."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from castalia.corpus.row import CorpusDocument
from castalia.records import Redaction, Reject
from castalia.web.urls import canonical_url, host_of

EXAMPLES = 3
OPT_OUTS = ("opt-out", "robots")
"""Reject reasons by which a page was left alone because its host asked for it."""


class Step(NamedTuple):
    """A stage of the collection: records in, kept and rejected."""

    stage: str
    records: int
    kept: int
    rejected: int


@dataclass
class Rejected:
    """Pages of one host that a stage rejected for one reason."""

    host: str
    stage: str
    reason: str
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(URL, detail)."""


@dataclass
class Licensed:
    """Documents under one licence."""

    spdx: str
    documents: int = 0
    words: int = 0
    places: Counter[str] = field(default_factory=Counter[str])
    """Documents by the place of the evidence."""
    hosts: Counter[str] = field(default_factory=Counter[str])

    def to_json(self) -> dict[str, Any]:
        """Plain values, largest counts first."""
        places, hosts = dict(self.places.most_common()), dict(self.hosts.most_common())
        return {"spdx": self.spdx, "documents": self.documents, "words": self.words, "places": places, "hosts": hosts}


@dataclass
class CorpusFacts:
    """Everything the report of a collection shows."""

    sites: list[str] = field(default_factory=list[str])
    allowed: str = ""
    """The licence policy in words."""
    steps: list[Step] = field(default_factory=list[Step])
    documents: int = 0
    words: int = 0
    rejected: dict[tuple[str, str, str], Rejected] = field(default_factory=dict[tuple[str, str, str], Rejected])
    opt_outs: dict[tuple[str, str], Rejected] = field(default_factory=dict[tuple[str, str], Rejected])
    licences: dict[str, Licensed] = field(default_factory=dict[str, Licensed])
    languages: Counter[str] = field(default_factory=Counter[str])
    duplicates: Counter[str] = field(default_factory=Counter[str])
    redacted_documents: int = 0
    redactions: int = 0
    pseudonyms: Counter[str] = field(default_factory=Counter[str])
    """Spans that were replaced, by kind, in all documents that were scrubbed."""
    hosts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Politeness by host, as the fetcher counted it."""
    files: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes by name, relative to the corpus folder."""
    searches: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What the terms of each search provider allow, as far as is known."""
    made_from: str = ""

    def add_rejects(self, rejects: Iterable[Reject]) -> None:
        """Counts what a stage rejected."""
        for reject in rejects:
            host = host_of(url) if (url := canonical_url(reject.subject)) else "-"
            _count(self.rejected, (host, reject.stage, reject.reason), (host, reject.stage, reject.reason), reject)
            if reject.reason in OPT_OUTS:
                signal = _signal(reject)
                _count(self.opt_outs, (host, signal), (host, reject.stage, signal), reject)
            if reject.stage == "deduplicate":
                self.duplicates[reject.reason] += 1

    def add_redactions(self, redactions: Iterable[Redaction]) -> None:
        """Counts what was replaced."""
        self.pseudonyms.update(redaction.kind for redaction in redactions)

    def add_document(self, row: CorpusDocument) -> None:
        """Counts one kept document."""
        self.documents += 1
        self.words += row.words
        self.languages[row.language or "unknown"] += 1
        licensed = self.licences.setdefault(row.licence, Licensed(row.licence))
        licensed.documents += 1
        licensed.words += row.words
        licensed.hosts[row.host] += 1
        licensed.places.update({item.place for item in row.licence_evidence if item.spdx == row.licence})
        if row.redactions:
            self.redacted_documents += 1
            self.redactions += row.redactions

    def to_json(self) -> dict[str, Any]:
        """Plain values, largest counts first."""
        return {
            "sites": self.sites,
            "licences_allowed": self.allowed,
            "documents": self.documents,
            "words": self.words,
            "steps": [step._asdict() for step in self.steps],
            "rejected": [_plain(item) for item in ordered(self.rejected)],
            "opt_outs": [_plain(item) | {"signal": item.reason} for item in ordered(self.opt_outs)],
            "licences": [item.to_json() for item in sorted(self.licences.values(), key=lambda item: (-item.documents, item.spdx))],
            "languages": dict(self.languages.most_common()),
            "duplicates": dict(self.duplicates.most_common()),
            "personal_data": {
                "documents": self.redacted_documents,
                "replaced": self.redactions,
                "by_kind": dict(self.pseudonyms.most_common()),
            },
            "hosts": self.hosts,
            "searches": self.searches,
            "files": self.files,
            "made_from": self.made_from,
        }


def ordered(items: Mapping[Any, Rejected]) -> list[Rejected]:
    """Largest counts first."""
    return sorted(items.values(), key=lambda item: (-item.count, item.host, item.stage, item.reason))


def _count(items: dict[Any, Rejected], key: Any, named: tuple[str, str, str], reject: Reject) -> None:
    item = items.setdefault(key, Rejected(*named))
    item.count += 1
    if len(item.examples) < EXAMPLES:
        item.examples.append((reject.subject, reject.detail[:200]))


def _signal(reject: Reject) -> str:
    """What the host said, without what differs from page to page."""
    return reject.detail[:80] or reject.reason


def _plain(item: Rejected) -> dict[str, Any]:
    return {
        "host": item.host,
        "stage": item.stage,
        "reason": item.reason,
        "count": item.count,
        "examples": [{"url": url, "detail": detail} for url, detail in item.examples],
    }
