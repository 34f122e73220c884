"""The decision: which licence the text of a page is under, and whether the policy allows it. It may abstain, and it sees contradictions.

Each piece of evidence about the text scores by where it stood and by whether words say what it covers; a licence is decided from
`ENOUGH` on. Evidence about images, code, software or embedded works never licenses text, however much of it there is.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from castalia.records import LicenceDecision, LicenceEvidence, ScopedLicence
from castalia.web.licences.names import FORBIDDEN, PUBLIC_DOMAIN, RESERVED, SOME_COMMONS, family, is_family
from castalia.web.licences.policy import Policy

ENOUGH = 2.0
SURE = 3.0
"""From here on, a licence is not doubted for words that reserve all rights as pages do by habit."""
_STATED = {
    "footer": 4.0,
    "article": 3.0,
    "aside": 3.0,
    "oracle": ENOUGH,
    "badge": 3.0,
    "rel-license": 4.0,
    "meta": 2.5,
    "rdfa": 3.0,
    "json-ld": 2.5,
}
_PLACED = {"footer": 2.5, "badge": 2.5, "rel-license": 2.5, "meta": 2.5, "rdfa": 2.5, "json-ld": 2.5, "article": 0.5, "aside": 0.5}
_RESERVING = 1.0
_OVER_TEXT = ("page", "text")
_READ_BY_NOBODY = ("hidden", "caption")


class Candidate(NamedTuple):
    """A licence that the text may be under, with the best evidence for it and its score."""

    spdx: str
    best: LicenceEvidence
    score: float


def score(item: LicenceEvidence) -> float:
    """How much a piece of evidence says about the text of its page, from 0 (nothing) to 4 (a footer that names the text)."""
    if item.scope not in _OVER_TEXT or item.place in _READ_BY_NOBODY:
        return 0.0
    return (_STATED if item.stated else _PLACED).get(item.place, 0.0)


def decide(evidence: Sequence[LicenceEvidence], policy: Policy) -> LicenceDecision:
    """What the evidence adds up to for the *text* of a page.

    Statements about the page count before those about its site. Statements that disagree are a contradiction, unless one of them
    names this very article and the other leaves out what is noted otherwise. So are a licence and a ban on copying, and a licence
    in the markup or on the site and words on the page that reserve all rights. A licence text that is not recognised, and evidence
    that is too weak, lead to abstaining.
    """
    over_text = [item for item in evidence if item.scope in _OVER_TEXT and item.place not in _READ_BY_NOBODY]
    reserved = next((item for item in over_text if item.spdx == RESERVED), None)
    forbidden = next((item for item in over_text if item.spdx == FORBIDDEN and item.place in ("footer", "article", "aside", "meta")), None)
    site = [item for item in evidence if item.scope == "site"]
    candidates = [item for item in _candidates(over_text) if item.score - _doubt(item, reserved) >= ENOUGH]
    named = _settled(candidates)
    if len(named) > 1:
        one, other = named[:2]
        return _decision(
            evidence, policy, None, "contradiction", f"{one.best.place} says {one.spdx}, but {other.best.place} says {other.spdx}"
        )
    unknown = next((item for item in over_text if item.spdx in (None, SOME_COMMONS) and score(item) >= ENOUGH), None)
    if not named:
        return _without_page_licence(evidence, site, unknown, reserved, forbidden, policy)
    chosen = named[0]
    if forbidden is not None:
        return _decision(
            evidence,
            policy,
            None,
            "contradiction",
            f"{chosen.best.place} says {chosen.spdx}, but the page says {forbidden.sentence[:80]!r}",
        )
    refused = next((item for item in site if item.spdx and not policy.allows(item.spdx)), None)
    if policy.allows(chosen.spdx) and refused is not None and chosen.score < SURE:
        reason = f"{chosen.best.place} says {chosen.spdx}, but {refused.place} says {refused.spdx}, which the policy does not allow"
        return _decision(evidence, policy, None, "contradiction", reason)
    allowing = next((item for item in site if item.spdx and policy.allows(item.spdx) and not policy.allows(chosen.spdx)), None)
    if allowing is not None:
        reason = f"{allowing.place} says {allowing.spdx}, but {chosen.best.place} says {chosen.spdx}, which the policy does not allow"
        return _decision(evidence, policy, None, "contradiction", reason)
    if not policy.allows(chosen.spdx):
        return _decision(
            evidence, policy, chosen.spdx, "not-allowed", f"{chosen.best.place} says {chosen.spdx}, which the policy does not allow"
        )
    places = " and ".join(dict.fromkeys(item.place for item in over_text if item.spdx == chosen.spdx))
    return _decision(evidence, policy, chosen.spdx, "allowed", f"{chosen.spdx} by {places}")


def _without_page_licence(
    evidence: Sequence[LicenceEvidence],
    site: Sequence[LicenceEvidence],
    unknown: LicenceEvidence | None,
    reserved: LicenceEvidence | None,
    forbidden: LicenceEvidence | None,
    policy: Policy,
) -> LicenceDecision:
    """The decision by the files of the site, for a page that names no licence of its own."""
    against = forbidden or reserved
    nameless = unknown or next((item for item in site if item.spdx is None), None)
    if nameless is not None:
        return _decision(evidence, policy, None, "abstain", f"{nameless.place} at {nameless.url} holds a licence that is not recognised")
    if not site:
        if against:
            return _decision(evidence, policy, None, "abstain", f"the page says {against.sentence[:80]!r} and names no licence")
        other = ", ".join(sorted({f"{item.spdx} for {item.scope}" for item in evidence if item.spdx}))
        return _decision(evidence, policy, None, "abstain", f"no licence for the text was found{f'; seen: {other}' if other else ''}")
    refused = [item for item in site if not policy.allows(str(item.spdx))]
    first = site[0]
    if refused and len(refused) < len(site):
        allowed = next(item for item in site if item not in refused)
        reason = f"{allowed.place} says {allowed.spdx}, but {refused[0].place} says {refused[0].spdx}, which the policy does not allow"
        return _decision(evidence, policy, None, "contradiction", reason)
    if refused:
        return _decision(
            evidence, policy, str(first.spdx), "not-allowed", f"{first.place} says {first.spdx}, which the policy does not allow"
        )
    if against:
        return _decision(evidence, policy, None, "contradiction", f"the site is {first.spdx}, but the page says {against.sentence[:80]!r}")
    # Two files of one scope that name two licences: nothing says that one may choose, so both hold.
    files = dict.fromkeys(str(item.spdx) for item in site if item.place == "licence-file")
    spdx = " AND ".join(f"({name})" if " " in name else name for name in files) if len(files) > 1 else str(first.spdx)
    places = " and ".join(dict.fromkeys(item.place for item in site if len(files) > 1 or item.spdx == first.spdx))
    return _decision(evidence, policy, spdx, "allowed", f"{spdx} by {places}")


def _candidates(over_text: Sequence[LicenceEvidence]) -> Iterator[Candidate]:
    """Licences named for the text, the best first. A name without a version is taken with the versions named beside it."""
    named = [item for item in over_text if item.spdx and item.spdx not in (RESERVED, FORBIDDEN, SOME_COMMONS)]
    exact = {family(str(item.spdx)) for item in named if not is_family(str(item.spdx))}
    groups: dict[str, list[LicenceEvidence]] = {}
    for item in named:
        spdx = str(item.spdx)
        if not (is_family(spdx) and family(spdx) in exact):
            groups.setdefault(spdx, []).append(item)
    for spdx, items in groups.items():
        if is_family(spdx) or family(spdx) in exact:
            items = [
                *items,
                *(item for item in named if item.spdx != spdx and is_family(str(item.spdx)) and family(str(item.spdx)) == family(spdx)),
            ]
        best = max(items, key=score)
        yield Candidate(spdx, next((item for item in items if item.spdx == spdx and score(item) == score(best)), best), score(best))


def _doubt(candidate: Candidate, reserved: LicenceEvidence | None) -> float:
    """What words that reserve all rights take from a licence that no reader sees."""
    unseen = candidate.best.place in ("meta", "json-ld", "rdfa") or (
        candidate.best.place == "rel-license" and candidate.best.sentence == candidate.best.link
    )
    return _RESERVING if reserved is not None and unseen and candidate.score < SURE else 0.0


def _settled(candidates: Sequence[Candidate]) -> list[Candidate]:
    """One candidate where all agree or one is meant for this very article, else those that disagree, the best first."""
    ordered = sorted(candidates, key=lambda item: (-item.score, item.spdx))
    if len(ordered) < 2:
        return ordered
    if all(item.spdx in (PUBLIC_DOMAIN, "CC0-1.0", "CC-PDM-1.0", "CC-PDDC", "PDDL-1.0") for item in ordered):
        return [max(ordered, key=lambda item: (item.spdx != PUBLIC_DOMAIN, item.score))]
    specific = [item for item in ordered if item.best.place == "article" and item.best.stated and not item.best.exceptions]
    general = [item for item in ordered if item not in specific]
    if len(specific) == 1 and all(item.best.exceptions for item in general):
        return specific
    return ordered


def _decision(evidence: Sequence[LicenceEvidence], policy: Policy, spdx: str | None, verdict: str, reason: str) -> LicenceDecision:
    attribution = ""
    parts: tuple[ScopedLicence, ...] = ()
    if verdict == "allowed":
        parts = tuple(_parts(evidence, policy, str(spdx)))
        over_text = [item for item in evidence if item.scope != "code"]
        exact = [item for item in over_text if item.spdx == spdx]
        joined = [item for item in over_text if item.spdx in [name.strip("()") for name in str(spdx).split(" AND ")]]
        where = " and ".join(dict.fromkeys(_where(item) for item in exact[:1] or joined or evidence[:1]))
        own = "; ".join(_own(part, evidence) for part in parts)
        own = f"On this page: {own}." if own else ""
        attribution = " ".join(part for part in (*_notices(exact or joined), f"Licensed under {spdx}, see {where}.", own) if part)
    return LicenceDecision.model_validate({
        "spdx": spdx, "verdict": verdict, "reason": reason, "evidence": tuple(evidence), "attribution": attribution, "parts": parts,
    })  # fmt: skip


def _where(item: LicenceEvidence) -> str:
    """Where the licence can be read. A page is not named by its address, which differs from page to page where the notice doesn't."""
    place = item.url if item.scope in ("site", "code") else "the page"
    return f"{item.link}, named by {place}" if item.link.startswith("http") else place


def _notices(items: Sequence[LicenceEvidence]) -> list[str]:
    """What licence files say of their holders, each once."""
    return list(dict.fromkeys(item.sentence for item in items if item.place == "licence-file"))


def _own(part: ScopedLicence, evidence: Sequence[LicenceEvidence]) -> str:
    """The licence of a part, with the notices of the files that hold it."""
    holders = _notices([item for item in evidence if item.scope == part.scope and item.spdx in part.spdx.split(" AND ")])
    return f"{part.scope} under {part.spdx}" + (f" ({'; '.join(holders)})" if holders else "")


def _parts(evidence: Sequence[LicenceEvidence], policy: Policy, spdx: str) -> Iterator[ScopedLicence]:
    """The licence of the code on the page, where footers and articles state another than that of the text."""
    stated = [item for item in evidence if item.scope == "code" and item.spdx and item.stated and item.place not in _READ_BY_NOBODY]
    named = [item.spdx for item in stated if item.spdx not in (RESERVED, FORBIDDEN, SOME_COMMONS, spdx)]
    if named:
        both = " AND ".join(dict.fromkeys(str(name) for name in named))
        yield ScopedLicence(scope="code", spdx=both, allowed=policy.allows(both))
