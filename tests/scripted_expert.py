"""An expert for every prompt of the shipped stages, as a script of the model server: well-formed answers made from the question alone.

What it says is nonsense about invented pages, but every answer passes its stage, so that whole runs can be made against the server.
"""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from typing import Any

from castalia.oracle.scripted import Act
from castalia.records import Block, Document, LicenceDecision, Provenance

WORDS = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "ter", "san", "vo", "ru", "pel") for b in ("dor", "nim", "sta", "vel", "qua", "zeb", "hin", "mor")
]
CATEGORIES = ("behavioral", "skills", "knowledge", "procedural")


def expert(_: int, user: str) -> Act:
    """The answer to one request, with the tokens that its characters suggest. The same question gives the same answer."""
    draw = random.Random(hashlib.sha256(user.encode()).digest())
    for mark, answer in ANSWERS:
        if mark in user:
            said: Any = answer(user, draw)
            break
    else:
        said = words(draw, 12)
    text = said if isinstance(said, str) else json.dumps(said)
    return Act(text=text, usage=(len(user) // 4 + 600, max(1, len(text) // 4)))


def documents(count: int) -> list[Document]:
    """Invented pages of one to four sections."""
    return [_document(number) for number in range(count)]


def _document(number: int) -> Document:
    draw = random.Random(number)
    texts: list[tuple[str, str]] = [("heading", f"Page {number}")]
    for section in range(draw.randint(1, 4)):
        texts.append(("heading", f"Part {section} of page {number}"))
        texts += [("paragraph", words(draw, draw.randint(80, 160)) + ".") for _ in range(draw.randint(3, 6))]
    blocks = tuple(Block(number=i, kind=kind, text=text, level=2 if kind == "heading" else 0) for i, (kind, text) in enumerate(texts))  # type: ignore[arg-type]
    licence = LicenceDecision(spdx="MIT", verdict="allowed", reason="invented", evidence=(), attribution="nobody")
    return Document(
        url=f"https://invented.example/page-{number:04}.html", title=f"Page {number}", blocks=blocks, licence=licence,
        provenance=Provenance(parents=(f"page_{number:064x}",)),
    )  # fmt: skip


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(count))


def _taxonomy(user: str, draw: random.Random) -> Any:
    [count] = map(int, re.findall(r"Write (\d+) nodes for each", user))
    return {
        "nodes": [
            {
                "category": category, "slug": f"{draw.choice(WORDS)}-{i}", "title": words(draw, 3), "description": words(draw, 15),
                "abilities": [words(draw, 8), words(draw, 8)],
            }
            for category in CATEGORIES for i in range(count)
        ]
    }  # fmt: skip


def _suite(user: str, draw: random.Random) -> Any:
    counts = dict(zip(("dev", "gate", "vault"), map(int, re.findall(r"(\d+) (?:items )?for (?:dev|gate|vault)", user)), strict=True))
    return {
        "items": [
            {
                "bank": bank, "cluster": f"{bank}-{i}-{draw.choice(WORDS)}", "question": f"{words(draw, 12)}? A or B.",
                "check": {"kind": "choice", "expected": ["A"]}, "reference": "A", "max_tokens": 16, "tools": False, "solution": [],
            }
            for bank, count in counts.items() for i in range(count)
        ]
    }  # fmt: skip


def _queries(user: str, draw: random.Random) -> Any:
    nodes = re.findall(r"^- ((?:behavioral|skills|knowledge|procedural)/\S+):", user, re.MULTILINE)
    queries = [{"node": node, "text": words(draw, 4), "wanted": "reference", "site": None, "language": "en"} for node in nodes]
    return {"queries": queries}


def _blocks(user: str) -> list[int]:
    return [int(n) for n in re.findall(r"^\[(\d+)\] paragraph", user, re.MULTILINE)]


def _extraction(user: str, draw: random.Random) -> Any:
    nodes = re.findall(r"^- (knowledge/\S+):", user, re.MULTILINE)
    count = 0 if draw.random() < 0.08 else draw.randint(1, 5)
    return {
        "atoms": [
            {
                "category": "knowledge", "node": draw.choice(nodes), "difficulty": "easy", "style": "reference",
                "blocks": [draw.choice(_blocks(user))], "quote": "",
                "knowledge": {"form": "claim", "statement": words(draw, draw.randint(10, 25))},
            }
            for _ in range(count)
        ]
    }  # fmt: skip


def _examples(user: str, draw: random.Random) -> Any:
    blocks = _blocks(user)
    examples = [
        {
            "kind": "grounded-answer", "atoms": [1], "blocks": [draw.choice(blocks)], "difficulty": "easy", "user": f"{words(draw, 14)}?",
            "answer": f"Yorim {words(draw, draw.randint(12, 40))}.", "check": {"kind": "contains", "expected": ["yorim"]},
        }
        for _ in range(draw.randint(2, 6))
    ]  # fmt: skip
    task = {"number": 1, "task": words(draw, 15), "atoms": [1], "blocks": [blocks[0]], "difficulty": "easy"}
    return {"examples": examples, "trace_tasks": [task] if draw.random() < 0.2 else []}


def _turn(user: str, draw: random.Random) -> Any:
    if "This is turn 1 of" in user:
        return {"analysis": words(draw, 6), "tool": "run_python", "arguments": '{"code": "print(7)"}', "final": None}
    return {"analysis": "", "tool": None, "arguments": None, "final": words(draw, 10)}


def _candidates(user: str, draw: random.Random) -> Any:
    levels = re.findall(r"for each level: (.*)\.", user)[-1].split(", ")
    return {
        "candidates": [
            {"level": level, "text": words(draw, 20), "failure_modes": [] if level == "strong" else ["logic_error"], "spans": []}
            for level in levels
        ]
    }


def _labels(kind: str, user: str) -> list[str]:
    return re.findall(rf"^{kind} ([A-P]):$", user, re.MULTILINE)


def _verdicts(user: str, draw: random.Random) -> Any:
    return {"verdicts": [{"label": label, "score": draw.randint(0, 10), "quote": ""} for label in _labels("Candidate", user)]}


def _rubrics(user: str, draw: random.Random) -> Any:
    scores = {"accuracy": 5, "safety": 9, "helpfulness": 6, "calibration": 7}
    shown = re.findall(r"^Answer ([A-P]):\n(\S+)\n(.*?)\n?\2$", user, re.MULTILINE | re.DOTALL)
    return {"answers": [{"label": label, **scores, "quote": text.partition(" ")[0]} for label, _, text in shown]}


def _correction(user: str, draw: random.Random) -> Any:
    return {"analysis": "", "answer": "A", "practise": words(draw, 6), "weight": 1.0}


def _named(user: str, mark: str) -> Sequence[str]:
    return user.rpartition(mark)[2].strip().rstrip(".").split(", ")


def _facts(user: str, draw: random.Random) -> Any:
    said = dict(re.findall(r"^\[(\S+)\]\nQuestion: .*\nAnswer: (.*)$", user, re.MULTILINE))
    return {
        "records": [
            {"record": label, "claims": [{"claim": said[label][:400], "verdict": "not_enough", "passages": []}]}
            for label in _named(user, "Take apart each of:")
        ]
    }


def _judged(user: str, draw: random.Random) -> Any:
    labels = _named(user, "Give one verdict for each of:")
    return {"verdicts": [{"record": label, "outcome": "pass", "reason": words(draw, 8), "blocks": []} for label in labels]}


ANSWERS = (
    ("nodes for each of the four categories", _taxonomy),
    ("for vault.", _suite),
    ("queries for each node", _queries),
    ("Name the gaps", lambda *_: {"gaps": [], "queries": []}),
    ("Extract at most", _extraction),
    ("trace tasks. Cover every atom", _examples),
    ("This is turn", _turn),
    ("Write one answer for each level", _candidates),
    ("Give one verdict per candidate.", _verdicts),
    ("Give one rubric per answer.", _rubrics),
    ("What the check wants:", _correction),
    ("Take apart each of:", _facts),
    ("Give one verdict for each of:", _judged),
)
"""(words that only this prompt has, its answer)"""
