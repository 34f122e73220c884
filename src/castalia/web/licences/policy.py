# pyright: basic
"""The decision: does the evidence allow the text of this page? It may abstain, and it sees contradictions."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from license_expression import ExpressionError, LicenseSymbol, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

from castalia.errors import ConfigError
from castalia.records import LicenceDecision, LicenceEvidence
from castalia.web.licences.evidence import ALL_RIGHTS_RESERVED

PERMISSIVE = (
    *("MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0", "PostgreSQL", "Zlib", "BSL-1.0", "Unlicense", "NCSA"),
    *("PSF-2.0", "X11", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "PDDL-1.0", "BlueOak-1.0.0", "Unicode-3.0"),
)
_OVER_TEXT = ("page", "text")


class Policy(NamedTuple):
    """The SPDX ids that are allowed."""

    allowed: frozenset[str]

    @classmethod
    def named(cls, name: str | Sequence[str]) -> "Policy":
        """`permissive`, or a list of SPDX ids. Raises ConfigError for an id that SPDX doesn't know."""
        if name == "permissive":
            return cls(frozenset(PERMISSIVE))
        ids = [name] if isinstance(name, str) else list(name)
        unknown = [spdx for spdx in ids if spdx not in _licensing().known_symbols]
        if unknown:
            raise ConfigError(f"licences {unknown!r}: SPDX knows no such id; write 'permissive' or SPDX ids such as 'MIT' or 'CC-BY-4.0'")
        return cls(frozenset(ids))

    def allows(self, expression: str) -> bool:
        """Whether the SPDX expression can be used: one side of an OR, both sides of an AND."""
        try:
            return self._holds(_licensing().parse(expression, validate=False, simple=False))
        except ExpressionError:
            return False

    def _holds(self, node: object) -> bool:
        if isinstance(node, LicenseWithExceptionSymbol):
            return node.license_symbol.key in self.allowed
        if isinstance(node, LicenseSymbol):
            return node.key in self.allowed
        operands = getattr(node, "args", ())
        if isinstance(node, _licensing().OR):
            return any(self._holds(operand) for operand in operands)
        return bool(operands) and all(self._holds(operand) for operand in operands)


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def decide(evidence: Sequence[LicenceEvidence], policy: Policy) -> LicenceDecision:
    """What the evidence adds up to for the *text* of a page.

    Statements about the page or its text count before those about the site. Statements of equal standing that disagree on
    whether the text may be used are a contradiction; so is a page that forbids what its site allows. Evidence about
    images, code or embedded things never licenses text, and an unknown licence text or a bare "all rights reserved"
    leads to abstaining.
    """
    page = [item for item in evidence if item.scope in _OVER_TEXT]
    site = [item for item in evidence if item.scope == "site"]
    reserved = [item for item in page if item.spdx == ALL_RIGHTS_RESERVED]
    page = [item for item in page if item.spdx != ALL_RIGHTS_RESERVED]
    relevant = [*page, *site]
    if not relevant:
        if reserved:
            return _decision(evidence, None, "abstain", f"the page says {reserved[0].sentence[:80]!r} and names no licence")
        other = ", ".join(sorted({f"{item.spdx} for {item.scope}" for item in evidence}))
        return _decision(evidence, None, "abstain", f"no licence for the text was found{f'; seen: {other}' if other else ''}")
    unknown = [item for item in relevant if item.spdx is None]
    named = [item for item in relevant if item.spdx is not None]
    if unknown:
        return _decision(evidence, None, "abstain", f"{unknown[0].place} at {unknown[0].url} holds a licence that is not recognised")
    refused = [item for item in named if not policy.allows(str(item.spdx))]
    if refused and len(refused) < len(named):
        allowed = next(item for item in named if item not in refused)
        reason = f"{allowed.place} says {allowed.spdx}, but {refused[0].place} says {refused[0].spdx}, which the policy does not allow"
        return _decision(evidence, None, "contradiction", reason)
    first = min(named, key=lambda item: item.scope == "site")
    if refused:
        return _decision(evidence, str(first.spdx), "not-allowed", f"{first.place} says {first.spdx}, which the policy does not allow")
    if reserved and not page:
        return _decision(evidence, None, "contradiction", f"the site is {first.spdx}, but the page says {reserved[0].sentence[:80]!r}")
    places = " and ".join(dict.fromkeys(item.place for item in named if item.spdx == first.spdx))
    return _decision(evidence, str(first.spdx), "allowed", f"{first.spdx} by {places}")


def _decision(evidence: Sequence[LicenceEvidence], spdx: str | None, verdict: str, reason: str) -> LicenceDecision:
    attribution = ""
    if verdict == "allowed":
        notice = next((item.sentence for item in evidence if item.place == "licence-file" and item.spdx == spdx), "")
        source = next(item.url for item in evidence if item.spdx == spdx)
        attribution = " ".join(part for part in (notice, f"Licensed under {spdx}, see {source}.") if part)
    return LicenceDecision.model_validate(
        {"spdx": spdx, "verdict": verdict, "reason": reason, "evidence": tuple(evidence), "attribution": attribution}
    )
