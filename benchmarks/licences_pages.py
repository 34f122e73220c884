"""Licences of pages: what `page_licence` says of pages that people labelled and of pages with planted statements, beside the truth."""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.licences_planted import half, plant
from castalia.web.licences.page import page_licence

_LABELS = Path(__file__).with_name("data") / "licences" / "pages.jsonl"
_LINK = re.compile(r"creativecommons\.org/(?:licenses/(?P<kind>[a-z-]+)/(?P<version>\d\.\d)|publicdomain/(?P<zero>zero|mark)/1\.0)", re.I)


class Case(NamedTuple):
    """One page. `accepted` are the right answers, None among them where a page may be called unlicensed."""

    name: str
    half: str
    stratum: str
    html: str
    accepted: tuple[str | None, ...]
    code: str | None = None


class Answer(NamedTuple):
    """What was said of a case: a licence or None, the verdict behind it, and the licence said of its code."""

    case: Case
    licence: str | None
    verdict: str
    code: str | None = None
    reason: str = ""


class Score(NamedTuple):
    """Counts: licences named, those named rightly, pages that have one, pages where none was named though there is one."""

    named: int
    right: int
    licensed: int
    found: int
    abstained: int

    @property
    def precision(self) -> float | None:
        """Share of the licences named that are right."""
        return self.right / self.named if self.named else None

    @property
    def recall(self) -> float | None:
        """Share of the licensed pages whose licence was named."""
        return self.found / self.licensed if self.licensed else None


def labelled(gold: Path) -> Iterator[Case]:
    """Labelled pages below `gold/html`. Labels that lie in `gold/licence/pages*.jsonl` are taken instead of our own."""
    files = sorted((gold / "licence").glob("pages*.jsonl")) or [_LABELS]
    for row in (json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()):
        path = next(iter(sorted(gold.glob(f"html/*/html/{row['page']}.html.gz"))), None)
        if path is not None:
            html = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
            accepted = (row["licence"], *row.get("also", ()))
            yield Case(row["page"], half(row["page"]), row.get("stratum", "labelled"), html, accepted, row.get("code"))


def planted(pages: Sequence[Case], per_template: int, seed: int) -> Iterator[Case]:
    """Pages with statements planted into those of `pages` that have none."""
    hosts = [(case.name, case.html) for case in pages if case.accepted == (None,) and case.stratum != "linked"]
    for made in plant(hosts, per_template, seed) if hosts else ():
        yield Case(f"{made.template} in {made.host} at {made.where}", made.half, "planted", made.html, (made.truth,), made.code)


def answer(case: Case) -> Answer:
    """What Castalia says, under the default policy. A licence is named also when the policy does not allow it."""
    decision = page_licence(case.html, "https://site.example/page")
    return Answer(case, decision.spdx, decision.verdict, reason=decision.reason)


def any_link(case: Case) -> Answer:
    """The simple way, to compare with: the first link to a Creative Commons licence anywhere in the page."""
    found = _LINK.search(case.html)
    if not found:
        return Answer(case, None, "abstain")
    return Answer(case, f"CC-{found['kind'].upper()}-{found['version']}" if found["kind"] else "CC0-1.0", "named")


def is_right(answer: Answer) -> bool:
    """Whether the licence named is one of those accepted. Where the label has no version, none must be named."""
    return _plain(answer.licence) in {_plain(accepted) for accepted in answer.case.accepted}


def score(answers: Sequence[Answer]) -> Score:
    """Precision and recall of the licences named."""
    named = [answer for answer in answers if answer.licence is not None]
    licensed = [answer for answer in answers if None not in answer.case.accepted]
    return Score(
        named=len(named),
        right=sum(map(is_right, named)),
        licensed=len(licensed),
        found=sum(map(is_right, licensed)),
        abstained=sum(answer.licence is None for answer in answers),
    )


def _plain(licence: str | None) -> str | None:
    return licence.removeprefix("LicenseRef-").removeprefix("scancode-") if licence else None
