"""What a judge's words on claims add up to: the rules by which claims are supported, refuted or left open, and records with them."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from castalia.quality.check import Finding
from castalia.quality.checks.claims import claims_flaw
from castalia.quality.sources.copies import repeats
from castalia.quality.sources.passage import Passage, Source
from castalia.quality.sources.standing import denies, standing
from castalia.quality.view import View
from castalia.records import Provenance
from castalia.records.claim import LONGEST_QUOTE, CheckedClaim, ClaimVerdict, SourceQuote

_NUMBER = re.compile(r"\W*(?:claim\s*)?(\d{1,2})\b", re.IGNORECASE)


class Entry(NamedTuple):
    """What the judge says of one claim. A claim may be spoken of twice, by passages that contradict each other."""

    claim: str
    verdict: Literal["supported", "refuted", "not_enough"]
    passages: tuple[str, ...]
    quotes: tuple[str, ...]


class Case(NamedTuple):
    """A record and what is known of its claims."""

    view: View
    passages: Mapping[str, Passage]
    """By label."""
    independent: Mapping[str, int]
    """The number of its source for every label that may support the record."""
    cited: Sequence[Source]
    unread: Mapping[str, int]
    """Hits of searches that gave no text, by reason code."""

    @property
    def texts(self) -> dict[str, str]:
        """What quotes are looked for in."""
        return {label: passage.text for label, passage in self.passages.items()}


class _Settled(NamedTuple):
    claim: CheckedClaim
    denied: bool
    """Whether a source was quoted that seems to deny what was quoted."""


def add_up(
    case: Case,
    entries: Sequence[Entry],
    *,
    calls: tuple[str, ...],
    least: int,
    named: Sequence[tuple[str, str]] = (),
    more: int = 0,
    asked: bool = True,
) -> Finding:
    """The finding on a record. A claim is refuted by any passage, supported by `least` independent sources; either by words that stand there.

    `named` are the claims (text, words searched for) where they were named before; then each must be spoken of. `more` claims of the
    record were not looked up. Without `asked` there was nothing to ask a judge about.
    """
    flaw = _flaw(case, entries, named) if asked else ""
    if flaw:
        return Finding("abstain", flaw, calls=calls)
    if named:
        said = [[entry for entry in entries if _number(entry.claim) == number] for number in range(1, len(named) + 1)]
    else:
        named = [(text, "") for text in dict.fromkeys(entry.claim for entry in entries)]
        said = [[entry for entry in entries if entry.claim == text] for text, _ in named]
    settled = [
        _settle(case, number, text, search, found, calls, least)
        for number, ((text, search), found) in enumerate(zip(named, said, strict=True), 1)
    ]
    outcome, reason = _outcome(case, settled, least, more)
    unquoted = [text for (text, _), found in zip(named, said, strict=True) if _refutes_without_words(found)]
    if unquoted and outcome != "fail":
        return Finding("abstain", f"the judge refutes without a quote: {unquoted[0]}", calls=calls)
    return Finding(outcome, reason, _shown(case, entries), calls, tuple(one.claim for one in settled))


def _refutes_without_words(entries: Sequence[Entry]) -> bool:
    """Whether a claim is said to be refuted, and no words that would refute it are quoted."""
    refuted = [entry for entry in entries if entry.verdict == "refuted"]
    return bool(refuted) and not any(entry.quotes for entry in refuted)


def _flaw(case: Case, entries: Sequence[Entry], named: Sequence[tuple[str, str]]) -> str:
    """Why the judge's words can't be used; empty where they can."""
    if not entries:
        return "the judge named no claim of this record, or took it apart twice"
    if not named and (foreign := claims_flaw([entry.claim for entry in entries], case.view)):
        return foreign
    unknown = [label for label in dict.fromkeys(label for entry in entries for label in entry.passages) if label not in case.passages]
    if unknown:
        return f"the judge cites {unknown}, which it was not shown"
    texts = case.texts
    invented = [quote for entry in entries for quote in entry.quotes if not standing(quote, entry.passages, texts)]
    if invented:
        return f"the judge quotes {invented[0]!r:.100}, which stands in none of the passages it names, or is too short to say anything"
    if named and {_number(entry.claim) for entry in entries} != set(range(1, len(named) + 1)):
        return f"the judge speaks of claims {[entry.claim[:40] for entry in entries]}, not of each of 1 to {len(named)}"
    return ""


def _number(claim: str) -> int:
    """The number of a claim as the judge writes it; 0 for none."""
    found = _NUMBER.match(claim)
    return int(found[1]) if found else 0


def _settle(case: Case, number: int, text: str, search: str, entries: Sequence[Entry], calls: tuple[str, ...], least: int) -> _Settled:
    """One claim. Sources that refute it and others that support it leave it disputed."""
    texts = case.texts
    quotes: list[SourceQuote] = []
    supporting: set[int] = set()
    refuting: set[int] = set()
    denied = is_open = False
    for entry in entries:
        support = set[int]()
        for quote in entry.quotes if entry.verdict != "not_enough" else ():
            for label in entry.passages:
                if not standing(quote, [label], texts):
                    continue
                source = case.independent.get(label, 0)
                fetched = bool(case.passages[label].source.body_sha256)
                if source and fetched and entry.verdict == "supported" and repeats(quote, texts[label], case.cited):
                    source = 0
                if entry.verdict == "refuted":
                    refuting.add(source)
                elif source and denies(quote, texts[label]):
                    denied = True
                    continue
                elif source:
                    support.add(source)
                quotes.append(_source_quote(case.passages[label], source, entry.verdict, quote))
        supporting |= support
        is_open = is_open or (entry.verdict != "refuted" and not support)
    if refuting:
        verdict: ClaimVerdict = "disputed" if supporting - refuting else "refuted"
    else:
        verdict = "supported" if len(supporting) >= least and not is_open else "not_enough"
    claim = CheckedClaim(
        record=case.view.record.id, dataset=case.view.dataset, number=number, text=text, search=search, verdict=verdict,
        sources=len(supporting), quotes=tuple(dict.fromkeys(quotes)), provenance=Provenance(parents=(case.view.record.id,), calls=calls),
    )  # fmt: skip
    return _Settled(claim, denied)


def _outcome(case: Case, settled: Sequence[_Settled], least: int, more: int) -> tuple[Literal["pass", "fail", "flag"], str]:
    verdicts = {verdict: [one for one in settled if one.claim.verdict == verdict] for verdict in ("refuted", "disputed", "not_enough")}
    if verdicts["refuted"]:
        return "fail", f"refuted: {verdicts['refuted'][0].claim.text}"
    if verdicts["disputed"]:
        return "flag", f"sources disagree: {verdicts['disputed'][0].claim.text}"
    if verdicts["not_enough"]:
        first = verdicts["not_enough"][0]
        unread = ", ".join(f"{count} {reason}" for reason, count in sorted(case.unread.items()))
        hint = f" (pages that could not be read: {unread})" if unread else ""
        if first.denied:
            return "flag", f"the words quoted for it seem to be denied where they stand: {first.claim.text}{hint}"
        if first.claim.sources:
            return "flag", f"{first.claim.sources} of {least} independent sources support: {first.claim.text}{hint}"
        return "flag", f"no other source settles: {first.claim.text}{hint}"
    if more:
        return "flag", f"{more} more claims than stages.verify.max_claims were named and not looked up"
    return "pass", f"{len(settled)} claims supported by other sources"


def _source_quote(passage: Passage, source: int, verdict: str, quote: str) -> SourceQuote:
    page = passage.source
    return SourceQuote(
        url=page.url, document=page.document, body_sha256=page.body_sha256, dated=page.dated, says="yes" if verdict == "supported" else "no",
        source=source, quote=quote.strip()[:LONGEST_QUOTE],
    )  # fmt: skip


def _shown(case: Case, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Quotes with where they stand: a label for a page of the corpus, address and hash of the body for a fetched one."""
    texts = case.texts
    shown: dict[str, None] = {}
    for entry in entries:
        for quote in entry.quotes:
            label = standing(quote, entry.passages, texts)
            page = case.passages[label].source
            place = f"{page.url} (sha256:{page.body_sha256})" if page.body_sha256 else label
            shown[f"{place}: {quote[:LONGEST_QUOTE]}"] = None
    return tuple(shown)
