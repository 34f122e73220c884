"""Sentences that name a licence and leave open what it covers: the text of the page, or something else.

Then the rules abstain. Somebody who reads the sentence may say which of the readings that the rules found it has; nobody can add one.
The choice is evidence like any other, the weakest that is enough: whatever speaks against it still makes a contradiction.
"""

from collections.abc import Sequence
from typing import NamedTuple

from castalia.records import LicenceDecision, LicenceEvidence
from castalia.web.licences.decide import decide, score
from castalia.web.licences.names import FORBIDDEN, RESERVED
from castalia.web.licences.policy import Policy


class Tie(NamedTuple):
    """One sentence with its readings."""

    sentence: str
    licences: tuple[LicenceEvidence, ...]
    """Readings by which the text of the page is under this licence, in the order of the sentence. The other reading is that it is not."""


def tie(decision: LicenceDecision) -> Tie | None:
    """The sentence that left a decision open; None where it is not open, where more than one sentence could close it, or where something
    else speaks against a licence: reserved rights, a ban on copying, a text that isn't recognised, any licence of the site."""
    if decision.verdict != "abstain":
        return None
    against = [item for item in decision.evidence if item.spdx in (RESERVED, FORBIDDEN) or item.scope == "site" or score(item) > 0]
    unsure = {item.spdx: item for item in reversed(decision.evidence) if item.unsure}
    sentences = {item.sentence for item in decision.evidence if item.unsure}
    if against or len(sentences) != 1:
        return None
    return Tie(sentences.pop(), tuple(item for item in decision.evidence if unsure.get(item.spdx) is item))


def settle(decision: LicenceDecision, found: Tie, choice: int, call: str, policy: Policy) -> LicenceDecision:
    """The decision with the reading that was chosen, counted from 1, by the oracle call `call`. Any other number leaves it open."""
    if not 1 <= choice <= len(found.licences):
        return decision
    chosen: Sequence[LicenceEvidence] = [
        found.licences[choice - 1].model_copy(update={"place": "oracle", "scope": "page", "stated": True, "unsure": False, "call": call})
    ]
    return decide([*decision.evidence, *chosen], policy)
