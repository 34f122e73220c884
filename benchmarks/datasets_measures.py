# pyright: basic
"""What can be said of made datasets without asking a model: whether evidence exists, whether answers rest on it, what repeats."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from castalia.quality.alike import alike_pairs, asked
from castalia.records import DATASETS, Atom, Document, Evidence, PreferencePair, Record, RewardRecord, SFTExample
from castalia.release import all_releases
from castalia.workspace import Workspace

SUPPORTED = 0.5
"""Share of an answer's words that stand in what it rests on, at least, in some form."""
_SPAN = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[._][A-Za-z0-9_]+)+|\b[A-Za-z]*[a-z][A-Z]\w+|\b[A-Z][A-Z_]{2,}\b")
_WORD = re.compile(r"[a-z]{4,}")
_STOP = re.compile(
    r"that|this|with|from|they|them|their|then|than|have|will|would|should|must|only|also|when|where|which|what|your|into|does|been|were|"
    r"here|there|each|more|most|such|after|before|used|uses|using|over|both|other"
)


class Released(NamedTuple):
    """What a release holds, with what it was made from."""

    documents: Mapping[str, Document]
    atoms: Mapping[str, Atom]
    records: Mapping[str, Sequence[Record]]

    @property
    def citations(self) -> list[Evidence]:
        """Of every atom and every released record."""
        found = [atom.evidence for atom in self.atoms.values()]
        for record in (record for records in self.records.values() for record in records):
            found += getattr(record, "evidence", ())
        return found


def read_released(workspace: Workspace) -> Released:
    """The records of the newest release."""
    import pyarrow.parquet as pq

    store = workspace.store
    folder = all_releases(workspace.releases)[-1]
    held = set(pq.read_table(folder / "provenance.parquet", columns=["id"])["id"].to_pylist())
    documents = {document.id: document for document in store.read_dataset("documents", Document)}
    atoms = {atom.id: atom for atom in store.read_dataset("atoms", Atom)}
    records = {name: [record for record in store.read_dataset(name, kind) if record.id in held] for name, kind in DATASETS.items()}
    return Released(documents, atoms, records)


def evidence_valid(released: Released) -> float | None:
    """Share of citations whose document, blocks and quote all exist."""
    checks = [_exists(evidence, released.documents) for evidence in released.citations]
    atoms = [atom in released.atoms for records in released.records.values() for record in records for atom in getattr(record, "atoms", ())]
    return sum([*checks, *atoms]) / len([*checks, *atoms]) if checks else None


def ungrounded(released: Released) -> tuple[list[tuple[Record, str]], int]:
    """Records whose answer names what neither its cited blocks nor its question know, or shares few words with them; and how many records
    were looked at. What was executed is proved by that."""
    missing: list[tuple[Record, str]] = []
    looked = 0
    for record in (record for records in released.records.values() for record in records):
        if not isinstance(record, (SFTExample, PreferencePair, RewardRecord)):
            continue
        looked += 1
        if (
            getattr(getattr(record, "check", None), "kind", "") in ("execution", "state")
            or getattr(record, "decided_by", "") == "execution"
        ):
            continue
        if why := _unsupported(_answer(record), _ground(record, released.documents)):
            missing.append((record, why))
    return missing, looked


def near_duplicates(records: Sequence[Record]) -> int:
    """Pairs of records whose prompts are almost the same."""
    return sum(1 for _ in alike_pairs([asked(record) for record in records]))


def traces(released: Released) -> dict[str, int]:
    """Agent traces, those in which a tool call failed before a later one worked, and the calls in them by tool."""
    found = [record for record in released.records["sft"] if isinstance(record, SFTExample) and record.kind == "agent-trace"]
    failing = 0
    calls: Counter[str] = Counter()
    for trace in found:
        outputs = [message.content for message in trace.conversation.messages if message.role == "tool"]
        failing += any(re.search(r"Error|Exception|error:", text) for text in outputs[:-1])
        calls.update(
            f"calls of {message.recipient.removeprefix('functions.')}" for message in trace.conversation.messages if message.recipient
        )
    return {"traces": len(found), "traces_with_a_failing_run": failing, **dict(sorted(calls.items()))}


def _exists(evidence: Evidence, documents: Mapping[str, Document]) -> bool:
    document = documents.get(evidence.document)
    if document is None or document.url != evidence.url or not evidence.blocks:
        return False
    if not all(0 <= number < len(document.blocks) for number in evidence.blocks):
        return False
    return not evidence.quote or any(evidence.quote in document.blocks[number].text for number in evidence.blocks)


def _ground(record: Any, documents: Mapping[str, Document]) -> str:
    cited = [(documents[e.document], n) for e in record.evidence if e.document in documents for n in e.blocks]
    texts = [text for document, number in cited for text in (_heading(document, number), document.blocks[number].text)]
    conversation = record.conversation if isinstance(record, SFTExample) else record.prompt
    texts += [message.content for message in conversation.messages if message.role in ("user", "tool")]
    return "\n".join(texts)


def _heading(document: Document, number: int) -> str:
    """The heading a block is read under, else the title of its page."""
    above = (block.text for block in reversed(document.blocks[: number + 1]) if block.kind == "heading")
    return next(above, document.title)


def _answer(record: Any) -> str:
    if isinstance(record, SFTExample):
        return record.conversation.messages[-1].content
    return record.chosen.text if isinstance(record, PreferencePair) else record.reference


def _unsupported(answer: str, ground: str) -> str:
    """What the ground doesn't know; empty when it knows everything."""
    known, whole = re.sub(r"\s+", "", ground.casefold()), set(re.findall(r"\w+", ground.casefold()))
    names = [*_SPAN.findall(answer), *_NAME.findall(_SPAN.sub(" ", answer))]
    for name in names:
        if not whole.issuperset(re.findall(r"\w+", name.casefold())):
            return name
    words = [word for word in _WORD.findall(answer.casefold()) if not _STOP.fullmatch(word)]
    there = sum(word[:5] in known for word in words)
    return "" if len(words) < 3 or there / len(words) >= SUPPORTED else f"{there} of {len(words)} words"
