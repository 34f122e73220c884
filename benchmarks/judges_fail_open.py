# pyright: basic
"""Judges that err, refuse, stay silent, contradict themselves or answer nonsense: does a record ever pass that no sound verdict let through?

A small set of records goes through all layers with an oracle that misbehaves in one way, and through the release's door; the judge of facts does
so where the corpus is all there is, and where sources are searched. Then sound answers are damaged at random places. What is sound is decided
here, by other code than the product's: exactly one verdict on the record, one that lets it through, on claims that have a word of the record,
resting on blocks that were shown, with words that are in them.
"""

import asyncio
import copy
import json
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable, BudgetReached, CastaliaError, MissingRecording, OracleError, OracleRefused
from castalia.oracle import Reply
from castalia.quality.check import GroupCheck
from castalia.quality.layers import LAYERS
from castalia.quality.verify import STAGE, VerifyParams, verify_records
from castalia.records import (
    Block,
    Conversation,
    Document,
    Evidence,
    LicenceDecision,
    LicenceEvidence,
    Message,
    Provenance,
    Record,
    SFTExample,
    Verdict,
)
from castalia.release import accept
from castalia.web.archive import Fetched

RECORDS = 4
CLAIM = "Green tea is steeped for two minutes."
Answer = dict[str, Any]
FOREIGN = "Elephants sleep standing up most nights."
SOURCE = "The tea board of Kyoto measured it in spring: leaves of green tea give their best after two minutes in the pot."
_LABELS = re.compile(r"each of: (.*)\.")
_NUMBERED = re.compile(r"^Give every claim of (.*?):? ([\d, ]+)\.$", re.MULTILINE)
_SHOWN = re.compile(r"^\[([^\]\s]+:\d+)\] (?:\(\S+\) )?(.*)$", re.MULTILINE)


class Case(NamedTuple):
    """One way to misbehave: changes the sound answer, or raises. `judge` is the prompt it concerns, empty for all; with `search` sources
    of facts are searched."""

    name: str
    change: Callable[[Answer], Any]
    judge: str = ""
    search: bool = False


class FailOpen(NamedTuple):
    """Records that passed although no sound verdict let them through, and how often that was tried."""

    passed: tuple[str, ...]
    tried: int


def run_cases(random_answers: int, seed: int = 0, judges: Collection[str] = ()) -> FailOpen:
    """Every case in each judging layer, then damaged answers; `judges` names some layers' checks alone."""
    generator = random.Random(seed)
    asked = [
        (name, False) for name in judges or [check.name for layer in LAYERS for check in layer.checks if isinstance(check, GroupCheck)]
    ]
    asked += [(name, True) for name in ("claims", "facts") if not judges or name in judges]
    ways = {(judge, search): {**CASES, **(CLAIM_CASES if judge == "claims" else {})} for judge, search in asked}
    cases = [
        Case(f"{name} in {judge}{' with search' * search}", change, judge, search)
        for (judge, search), changes in ways.items()
        for name, change in changes.items()
    ]
    cases += [
        Case(f"damaged answer {number} in {judge}{' with search' * search}", lambda answer: _damaged(answer, generator), judge, search)
        for number in range(random_answers)
        for judge, search in asked
    ]
    passed: list[str] = []
    for case in [*cases, *(Case("sound", lambda answer: answer, search=search) for search in (False, True))]:
        passed += [f"{case.name}: {record}" for record in _passed_unsoundly(case)]
    return FailOpen(tuple(passed), len(cases) * RECORDS)


def _passed_unsoundly(case: Case) -> list[str]:
    oracle = _Oracle(case)
    records, documents = some_records()
    try:
        verdicts = asyncio.run(verify(records, documents, oracle, search=case.search))
        accepted = accept({"sft": records}, verdicts).records["sft"]
    except CastaliaError:
        accepted = []  # nothing is released at all
    labels = {record.id: f"sft:sft/{number}" for number, record in enumerate(records, 1)}
    if case.name == "sound" and len(accepted) != len(records):
        return [f"a sound answer was not accepted, so the cases prove nothing{' with search' * case.search}"]
    return [record.subject for record in map(_as_sft, accepted) if labels[record.id] not in oracle.sound]


def _as_sft(record: Record) -> SFTExample:
    assert isinstance(record, SFTExample)
    return record


class OnePage:
    """A search that always finds one page, and that page."""

    user_agent = "castalia"

    async def search_once(self, name: str, query: str, limit: int) -> list[str]:
        return ["https://kyoto.example/board.html"]

    async def fetch(self, url: str) -> Fetched:
        return Fetched(url, url, 200, {}, "text/html", b"", "0" * 64, "2024-05-01T00:00:00Z")

    async def facts(self, fetched: Fetched) -> dict[str, Any]:
        return {"title": "Tea", "heading": "Tea", "text": SOURCE, "metas": {}, "canonical": ""}

    async def content(self, fetched: Fetched) -> dict[str, Any]:
        return {"problem": "", "blocks": [{"kind": "paragraph", "text": SOURCE}], "modified": "", "published": ""}


async def verify(records: Sequence[SFTExample], documents: Sequence[Document], oracle: Any, *, search: bool = False) -> list[Verdict]:
    ctx = Context(STAGE.name, STAGE.oracle, {prompt.stem: prompt for prompt in STAGE.prompts}, oracle, services={"web": OnePage()})
    params = VerifyParams.model_validate({"search": ("found",) if search else ()})
    inputs: Mapping[str, Sequence[Record]] = {
        "sft": records, "preferences": (), "rewards": (), "replay": (), "documents": documents, "leaks": (),
    }  # fmt: skip
    return [record async for record in verify_records(inputs, params, ctx) if isinstance(record, Verdict)]


class _Oracle:
    """Gives sound answers, but in the case's judge; remembers of which records every answer was sound."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.sound = {f"sft:sft/{number}" for number in range(1, RECORDS + 1)}

    async def ask(self, role: str, system: str, user: str, answer: Any, *, task: Any, sample: int = 0) -> Any:
        shown = dict(_SHOWN.findall(user))
        grouped, alone = re.search(_LABELS, user), re.search(_NUMBERED, user)
        labels = grouped[1].split(", ") if grouped else [alone[1] if alone else f"sft:sft/{task.subject.rpartition('/')[2]}"]
        numbers = alone[2].split(", ") if alone else []
        value: Any = sound_answer(task.prompt, labels, shown, numbers)
        if self._case.judge in ("", task.prompt):
            try:
                value = self._case.change(value)
            except (CastaliaError, OSError, ValueError, TypeError, KeyError):
                self.sound -= set(labels)
                raise
        text = value if isinstance(value, str) else json.dumps(value)
        self.sound -= {label for label in labels if not _is_sound(task.prompt, text, label, shown, numbers)}
        try:
            return Reply(answer.model_validate_json(text, strict=True), f"call-{task.prompt}", b"")
        except ValidationError as error:
            raise AnswerUnusable(str(error)) from error


def sound_answer(prompt: str, labels: Sequence[str], shown: Mapping[str, str], numbers: Sequence[str] = ()) -> Answer:
    """`numbers` are those of the claims that were named before, for facts that are searched."""
    if prompt == "claims":
        return {"claims": [{"text": CLAIM, "search": "green tea steeping time"}]}
    block = next((label for label, text in shown.items() if text == SOURCE), next(iter(shown), ""))
    if prompt == "facts":
        said = {"verdict": "supported", "passages": [block], "quotes": [shown.get(block, "")]}
        return {"records": [{"record": label, "claims": [{"claim": claim, **said} for claim in numbers or [CLAIM]]} for label in labels]}
    blocks = [block] if prompt == "consistency" else []
    return {"verdicts": [{"record": label, "outcome": "pass", "reason": "seen", "blocks": blocks} for label in labels]}


def _is_sound(prompt: str, text: str, label: str, shown: Mapping[str, str], numbers: Sequence[str]) -> bool:
    """Whether the answer lets this record through, and rests on what was shown. A flag lets through as a pass does."""
    try:
        answer = json.loads(text)
        if prompt == "claims":
            claims = answer["claims"]
            return bool(claims) and all(
                _is_of(label, claim["text"]) and claim["search"] and set(claim) == {"text", "search"} for claim in claims
            )
        rows = answer["records" if prompt == "facts" else "verdicts"]
        mine = [row for row in rows if row["record"] == label]
        if len(mine) != 1:
            return False
        row = mine[0]
        if prompt == "facts":
            claims = row["claims"]
            cited = [name for claim in claims for name in claim.get("passages", [])]  # both may be left out
            words = [(quote, claim.get("passages", [])) for claim in claims for quote in claim.get("quotes", [])]
            quoted = all(any(quote and quote in shown[name] for name in passages) for quote, passages in words)
            known = {"supported", "not_enough"}  # a claim that nobody settles is flagged, which lets through
            named = {claim["claim"] for claim in claims}
            own = named == set(numbers) if numbers else bool(named) and all(_is_of(label, claim) for claim in named)
            return own and all(name in shown for name in cited) and quoted and all(claim["verdict"] in known for claim in claims)
        blocks = row.get("blocks", [])  # may be left out: a verdict on policy rests on none
        if row["outcome"] not in ("pass", "flag") or any(name not in shown for name in blocks):
            return False
        return bool(blocks) if prompt == "consistency" else True
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _is_of(label: str, claim: str) -> bool:
    """Whether a claim has any word of the record."""
    said = f"How long does green tea steep, cup {label.rpartition('/')[2]}? Two minutes."
    return not set(re.findall(r"\w+", claim.lower())).isdisjoint(re.findall(r"\w+", said.lower()))


def _raise(error: Exception) -> Callable[[Answer], Any]:
    def change(answer: Answer) -> Any:
        raise error

    return change


def _each(**changes: Any) -> Callable[[Answer], Any]:
    """The answer with every verdict changed."""

    def change(answer: Answer) -> Any:
        return {
            name: [{**row, **{key: value for key, value in changes.items() if key in row}} for row in rows] for name, rows in answer.items()
        }

    return change


def _rows(change: Callable[[list[Any]], list[Any]]) -> Callable[[Answer], Any]:
    return lambda answer: {name: change(rows) for name, rows in answer.items()}


CASES: Mapping[str, Callable[[Answer], Any]] = {
    "an unusable answer": _raise(AnswerUnusable("not what was asked")),
    "a refusal of the provider": _raise(OracleRefused("401: wrong key")),
    "another error of the oracle": _raise(OracleError("the line is down")),
    "a timeout": _raise(TimeoutError("no answer in 60 s")),
    "a reset connection": _raise(ConnectionResetError("reset by peer")),
    "a broken client": _raise(ValueError("no such field")),
    "a broken answer object": _raise(KeyError("verdicts")),
    "a budget that ends": _raise(BudgetReached("the next call could exceed the budget")),
    "a missing recording": _raise(MissingRecording("no answer for this task")),
    "an empty text": lambda answer: "",
    "a text": lambda answer: "All records pass.",
    "a cut answer": lambda answer: json.dumps(answer)[:-20],
    "an answer cut before its end bracket": lambda answer: json.dumps(answer)[:-1],
    "null": lambda answer: "null",
    "an empty object": lambda answer: {},
    "an empty list": lambda answer: "[]",
    "no verdicts": _rows(lambda rows: []),
    "one verdict for all": _rows(lambda rows: rows[:1]),
    "all but one": _rows(lambda rows: rows[1:]),
    "every verdict twice": _rows(lambda rows: rows * 2),
    "pass and fail": _rows(
        lambda rows: [*rows, *({**row, "outcome": "fail"} if "outcome" in row else {**row, "claims": []} for row in rows)]
    ),
    "records that were not shown": _each(record="sft:sft/99"),
    "all under one label": _each(record="sft:sft/1"),
    "labels in capitals": _rows(lambda rows: [{**row, "record": row["record"].upper()} for row in rows]),
    "labels with a space": _rows(lambda rows: [{**row, "record": row["record"] + " "} for row in rows]),
    "an unknown outcome": _each(outcome="PASS", claims=[{"claim": CLAIM, "verdict": "true", "passages": []}]),
    "an outcome of none": _each(outcome=None, claims=None),
    "an outcome of true": _each(outcome=True, claims=True),
    "a list of outcomes": _each(outcome=["pass"], claims=[[]]),
    "a score instead": _rows(lambda rows: [{"record": row["record"], "score": 10} for row in rows]),
    "a key too many": _rows(lambda rows: [{**row, "confidence": 1.0} for row in rows]),
    "blocks that were not shown": _each(
        blocks=["elsewhere.html:1"], claims=[{"claim": CLAIM, "verdict": "supported", "passages": ["elsewhere.html:1"]}]
    ),
    "a shown block and one that was not": _rows(lambda rows: [_citing_beside(row) for row in rows]),
    "words that nobody wrote": _rows(lambda rows: [_quoting(row, "It takes an hour.") for row in rows]),
    "no words": _rows(lambda rows: [_quoting(row, "") for row in rows]),
    "blocks as a text": _each(blocks="brew.html:1", claims="supported"),
    "a claim of something else": _rows(lambda rows: [_claiming(row, FOREIGN) for row in rows]),
    "a claim without a word": _rows(lambda rows: [_claiming(row, "!") for row in rows]),
    "a refutation without words beside words that support": _rows(lambda rows: [_refuting_beside(row) for row in rows]),
    "no claims": _each(outcome="fail", claims=[]),
    "a refuted claim": _each(outcome="fail", claims=[{"claim": CLAIM, "verdict": "refuted", "passages": []}]),
    "a fail without a reason": _each(outcome="fail", reason="", claims=[{"claim": "", "verdict": "refuted", "passages": []}]),
    "a fail that praises": _each(outcome="fail", reason="pass, pass, pass", claims=[]),
}


CLAIM_CASES: Mapping[str, Callable[[Answer], Any]] = {
    "a claim of something else": _each(text=FOREIGN),
    "a claim of the record and one of something else": _rows(lambda rows: [*rows, {**rows[0], "text": FOREIGN}]),
    "a claim without a word": _each(text="!"),
    "an empty claim": _each(text=""),
    "a claim of many sentences": _each(text=f"{CLAIM} " * 20),
    "nothing to search for": _each(search=""),
    "claims without words to search for": _rows(lambda rows: [{"text": row["text"]} for row in rows]),
    "more claims than are looked up": _rows(lambda rows: rows * 40),
}


def _citing_beside(row: dict[str, Any]) -> dict[str, Any]:
    if "claims" in row:
        return {**row, "claims": [{**claim, "passages": [*claim["passages"], "elsewhere.html:9"]} for claim in row["claims"]]}
    return {**row, "blocks": [*row["blocks"], "elsewhere.html:9"]}


def _quoting(row: dict[str, Any], words: str) -> dict[str, Any]:
    if "claims" in row:
        return {**row, "claims": [{**claim, "quotes": [words]} for claim in row["claims"]]}
    return {**row, "blocks": [*row["blocks"], words]}


def _claiming(row: dict[str, Any], claim: str) -> dict[str, Any]:
    return {**row, "claims": [{**said, "claim": claim} for said in row["claims"]]} if "claims" in row else row


def _refuting_beside(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "claims": [*row["claims"], {**row["claims"][0], "verdict": "refuted", "quotes": []}]} if "claims" in row else row


def _damaged(answer: Answer, generator: random.Random) -> Any:
    """One to three random changes in the answer's tree, or in its text."""
    value: Any = copy.deepcopy(answer)
    for _ in range(generator.randint(1, 3)):
        places = list(_places(value))
        if not places:
            break
        holder, key = generator.choice(places)
        act = generator.choice(("drop", "copy", "replace"))
        if act == "drop":
            del holder[key]
        elif act == "copy" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = generator.choice(
                [None, "", "pass", "fail", "flag", "refuted", "sft:sft/2", "other.html:1", [], {}, 0, True, ["pass"]]
            )
    text = json.dumps(value)
    return text[: generator.randrange(len(text))] if generator.random() < 0.1 else value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inner: list[tuple[Any, Any]] = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, child in inner:
        found.append((value, key))
        found += _places(child)
    return found


def some_records(count: int = RECORDS) -> tuple[list[SFTExample], list[Document]]:
    """Records about tea, a page that they cite, and another one that says the same."""
    seen = LicenceEvidence(
        spdx="MIT", url="https://tea.example/LICENSE", place="licence-file", scope="site", sentence="Permission is granted", sha256="0" * 64
    )
    licence = LicenceDecision(spdx="MIT", verdict="allowed", reason="the site's LICENSE", evidence=(seen,), attribution="(c) Tea people")
    texts = {
        "brew": ("Brewing", "Steep green tea for two minutes at eighty degrees.", "Black tea takes four minutes in boiling water."),
        "other": ("Other", "Green tea is steeped for two minutes, says the tea board of Kyoto."),
    }
    documents = [
        Document(
            url=f"https://tea.example/{name}.html", title=name, licence=licence, provenance=Provenance(parents=(name,)),
            blocks=tuple(Block(number=i, kind="paragraph" if i else "heading", text=text) for i, text in enumerate(blocks)),
        )
        for name, blocks in texts.items()
    ]  # fmt: skip
    cited = Evidence(document=documents[0].id, url=documents[0].url, blocks=(1,))
    section = "tea.example/brew.html#0-2"
    records = [
        SFTExample(
            subject=f"{section}/sft/{number}", section=section, kind="grounded-answer", category="knowledge", node="knowledge/tea",
            difficulty="easy", evidence=(cited,), atoms=(), provenance=Provenance(parents=(documents[0].id,)),
            conversation=Conversation(messages=(
                Message(role="user", content=f"How long does green tea steep, cup {number}?"),
                Message(role="assistant", channel="final", content="Two minutes."),
            )),
        )
        for number in range(1, count + 1)
    ]  # fmt: skip
    return records, documents
