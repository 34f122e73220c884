"""Licence evidence: what was seen, where it stood and what it covers; and the decision made from it."""

from typing import Literal

from pydantic import Field

from castalia.records.base import Frozen

Scope = Literal["site", "page", "text", "code", "image", "embedded", "software"]
Place = Literal[
    "rel-license", "meta", "json-ld", "rdfa", "footer", "article", "badge", "aside", "caption", "hidden", "licence-file", "package-metadata",
    "repository", "configuration", "oracle",
]  # fmt: skip


class LicenceEvidence(Frozen):
    """One sighting of a licence."""

    spdx: str | None = Field(description="SPDX id or expression, None where the text names no known licence.")
    url: str = Field(description="Where the evidence was read.")
    place: Place = Field(description="Where in the page or site it stood.")
    scope: Scope = Field(description="What it covers.")
    sentence: str = Field(description="The words that say so, at most 300 characters.")
    sha256: str = Field(default="", description="Hash of the file it was read from, for files.")
    link: str = Field(default="", description="The address that the licence's name links to.")
    version: str = Field(default="", description="The version that was stated, empty where none was.")
    stated: bool = Field(default=False, description="Whether words name what is covered; otherwise the place alone says so.")
    exceptions: str = Field(default="", description="Words that limit it, e.g. `unless otherwise noted`.")
    unsure: bool = Field(default=False, description="Whether no words say what is covered, and the place leaves it open.")
    call: str = Field(default="", description="Ledger key of the call that chose between readings, where the place is `oracle`.")


class ScopedLicence(Frozen):
    """The licence of one part of a page, where the page gives it another licence than its text."""

    scope: Scope = Field(description="The part: `code` for the code on the page.")
    spdx: str = Field(description="SPDX id or expression.")
    allowed: bool = Field(description="Whether the policy allows it.")


class LicenceDecision(Frozen):
    """What the evidence adds up to under the policy."""

    spdx: str | None = Field(description="The licence the text may be used under, None when none was decided.")
    verdict: Literal["allowed", "not-allowed", "abstain", "contradiction"] = Field(description="The policy's answer.")
    reason: str = Field(description="Why, in one sentence.")
    evidence: tuple[LicenceEvidence, ...] = Field(default=(), description="Everything that was seen.")
    attribution: str = Field(default="", description="The notice that an export must carry.")
    parts: tuple[ScopedLicence, ...] = Field(default=(), description="Parts under a licence of their own, e.g. code.")


class StatedLicence(Frozen):
    """What the user says about a site, as the user's own evidence: it is recorded as `configuration`, with the reason."""

    url: str = Field(description="URL prefix that it covers.")
    spdx: str = Field(description="SPDX id or expression.")
    reason: str = Field(min_length=1, description="Where it was read or who said so, in one sentence.")
