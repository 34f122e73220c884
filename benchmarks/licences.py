"""Licences: files against their labels, texts changed by rule, texts that must not merge, and pages read by people or planted by seed.

A page counts as named when the decision names a licence for its text, whether the policy allows that licence or not. The mistakes of
the half `held` (templates, changes and labelled pages, chosen by a hash of their names) are counted and never listed. The planted
statements and the rules that read them have one author, so the figures of real pages say more.
"""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from benchmarks.licences_merges import wrong_merges
from benchmarks.licences_pages import Answer, Case, answer, any_link, is_right, labelled, planted, score
from benchmarks.licences_texts import Text, changed, fixtures
from castalia.web.licences import Policy, identify

_SEED = 20
_PER_TEMPLATE = 4
_SHOWN = 12


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Figures of files and pages; see `docs/licences.md` for what each counts."""
    if gold is None:
        return {"figures": {}, "nulls": {"text_correct": "no reference data: --gold DIR"}}
    figures: dict[str, Any] = {}
    figures |= _files(gold)
    figures["wrong_merges"] = wrong_merges(gold / "licence" / "spdx-texts", 120 if quick else None)
    real = list(labelled(gold))
    made = list(planted(real, 1 if quick else _PER_TEMPLATE, _SEED))
    cases = [*real, *made]
    answers = [answer(case) for case in cases]
    figures |= _pages(answers)
    naive = [any_link(case) for case in cases]
    _show(answers)
    peers = {"castalia": _both(answers), "any link to Creative Commons": _both(naive)}
    return {"figures": figures, "peers": peers}


def wilson(right: int, total: int) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson 1927), None of nothing."""
    if not total:
        return None
    z, share = 1.959964, right / total
    middle, spread = share + z * z / (2 * total), z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - spread) / (1 + z * z / total), (middle + spread) / (1 + z * z / total)


def _files(gold: Path) -> dict[str, Any]:
    found = fixtures(gold / "licence" / "licensee-fixtures")
    for wrong in found.wrong:
        print(f"fixture {wrong}")
    texts = list(changed(gold / "licence" / "spdx-texts", _SEED))
    said = {text.name: identify(text.text) for text in texts}
    same = [text for text in texts if text.expected]
    other = [text for text in texts if not text.expected]
    permissive = Policy.named("permissive")
    for text in [*same, *other]:
        if said[text.name] != text.expected and text.half == "shown":
            print(f"text {text.name}: said {said[text.name]}, expected {text.expected}")

    def accepted(some: Sequence[Text]) -> int:
        return sum(bool(said[text.name]) and permissive.allows(str(said[text.name])) for text in some)

    return {
        "text_cases": found.known + found.unknown,
        "text_correct": found.correct / found.known if found.known else None,
        "text_false_accepts": found.accepted,
        "text_variants": len(same),
        "text_variants_correct": sum(said[text.name] == text.expected for text in same) / len(same) if same else None,
        "text_changed": len(other),
        "text_changed_accepted": accepted(other),
        "text_changed_accepted_held": accepted([text for text in other if text.half == "held"]),
    }


def _pages(answers: Sequence[Answer]) -> dict[str, Any]:
    whole = score(answers)
    figures: dict[str, Any] = {
        "page_cases": len(answers),
        "page_licensed": whole.licensed,
        "page_precision": whole.precision,
        "page_precision_interval": _interval(whole.right, whole.named),
        "page_recall": whole.recall,
        "page_recall_interval": _interval(whole.found, whole.licensed),
        "abstained": whole.abstained,
        "contradictions": sum(answer.verdict == "contradiction" for answer in answers),
        "page_allowed": sum(answer.verdict == "allowed" for answer in answers),
        "page_allowed_wrongly": sum(answer.verdict == "allowed" and not is_right(answer) for answer in answers),
    }
    for name, part in _parts(answers).items():
        figures[f"page_precision_{name}"] = score(part).precision
        figures[f"page_recall_{name}"] = score(part).recall
    return figures


def _parts(answers: Sequence[Answer]) -> Mapping[str, Sequence[Answer]]:
    def of(keep: Callable[[Case], bool]) -> list[Answer]:
        return [answer for answer in answers if keep(answer.case)]

    def is_real(case: Case) -> bool:
        return case.stratum != "planted"

    return {
        "real": of(is_real),
        "random": of(lambda case: case.stratum == "random"),
        "planted": of(lambda case: not is_real(case)),
        "shown": of(lambda case: case.half == "shown"),
        "held": of(lambda case: case.half == "held"),
        "real_held": of(lambda case: is_real(case) and case.half == "held"),
        "planted_held": of(lambda case: not is_real(case) and case.half == "held"),
    }


def _both(answers: Sequence[Answer]) -> dict[str, Any]:
    real = [answer for answer in answers if answer.case.stratum != "planted"]
    return {
        "page_precision": score(answers).precision,
        "page_recall": score(answers).recall,
        "page_precision_real": score(real).precision,
        "page_recall_real": score(real).recall,
    }


def _interval(right: int, total: int) -> list[float] | None:
    found = wilson(right, total)
    return [round(edge, 4) for edge in found] if found else None


def _show(answers: Sequence[Answer]) -> None:
    """Mistakes of the half that may be looked at: wrong licences first, then those not found."""
    shown = [answer for answer in answers if answer.case.half == "shown" and not is_right(answer)]
    for wrong in sorted(shown, key=lambda answer: answer.licence is None)[:_SHOWN]:
        print(f"page {wrong.case.name}: {wrong.licence} ({wrong.verdict}), expected {wrong.case.accepted[0]}: {wrong.reason[:120]}")
