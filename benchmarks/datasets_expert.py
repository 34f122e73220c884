"""An oracle for any documentation, as a script of the model server: what it writes is taken from the blocks it is shown.

Atoms are sentences of the page, examples ask for them, traces really run Python, weak candidates leave words out or change them, and
judges compare. It is no model, but every answer is about the page, so evidence, execution, ranking and quality control have something
to hold on to. A share of its answers is wrong on purpose, and marked: they cite blocks that don't exist, quote what isn't there, or
use a node of another category; none of them may become a record.

Run as a program it serves until its standard input closes: `python -m benchmarks.datasets_expert`; the first line is its base URL, the
last one how many of its answers it spoiled, by how.
"""

import asyncio
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from castalia.oracle.scripted import Act, scripted_server
from castalia.quality.planting import DENIALS

CATEGORIES = ("behavioral", "skills", "knowledge", "procedural")
SPOILED = Counter[str]()
_SPOIL = 0.04
_NONE: list[str] = []
_NODES = {
    "behavioral": ("honest-limits", "warnings"),
    "skills": ("write-queries", "use-functions"),
    "knowledge": ("syntax", "behavior"),
    "procedural": ("set-up", "maintenance"),
}
_DOMAIN_OF = {
    "honest-limits": "limits", "warnings": "limits", "write-queries": "language", "use-functions": "language", "syntax": "language",
    "behavior": "limits", "set-up": "operation", "maintenance": "operation",
}  # fmt: skip
_STYLE_OF = {"behavioral": "warning", "skills": "worked-example", "knowledge": "reference", "procedural": "how-to"}
_BLOCK = re.compile(r"^\[(\d+)\] (\w+)[^:\n]*:[ \n](.*?)(?=^\[\d+\] |^=====|\Z)", re.MULTILINE | re.DOTALL)
_DENIED = [re.compile(re.escape(words).replace(re.escape("{sentence}"), r"([^\n]+?[.])") + r"(?=\s|$)") for words in DENIALS]
_HARM = re.compile(r"password of|escaping off|won't help|keys from the desk")
_SENTENCE = re.compile(r"[A-Z][^.!?\n]{40,180}[.]")


class Sentence(NamedTuple):
    """A sentence and the block it stands in."""

    block: int
    text: str


def expert(_: int, user: str) -> Act:
    """The answer to one request. The same question gives the same answer."""
    draw = random.Random(hashlib.sha256(user.encode()).digest())
    for mark, answer in _ANSWERS:
        if mark in user:
            text = json.dumps(answer(user, draw))
            return Act(text=text, usage=(len(user) // 4, max(1, len(text) // 4)))
    # no prompt of the pipeline: the target is asked for an answer of its own
    text = " ".join(user.split()[-draw.randint(2, 30) :])
    return Act(text=text, usage=(len(user) // 4, max(1, len(text) // 4)))


def _sentences(user: str) -> list[Sentence]:
    found: list[Sentence] = []
    for number, kind, text in _BLOCK.findall(user):
        if kind in ("paragraph", "list"):
            found += [Sentence(int(number), match.strip()) for match in _SENTENCE.findall(text)]
    return found


def _taxonomy(user: str, draw: random.Random) -> Any:
    return {
        "nodes": [
            {
                "category": category, "slug": slug, "domain": _DOMAIN_OF[slug], "title": slug.replace("-", " "),
                "description": f"Knows the {slug} of the manual.",
                "abilities": [f"answers about {slug}", f"explains {slug}"],
            }
            for category, slugs in _NODES.items() for slug in slugs
        ]
    }  # fmt: skip


def _suite(user: str, draw: random.Random) -> Any:
    counts = dict(zip(("dev", "gate", "vault"), map(int, re.findall(r"(\d+) (?:items )?for (?:dev|gate|vault)", user)), strict=True))
    return {
        "items": [
            {
                "bank": bank, "cluster": f"{bank}-{i}-{draw.random():.9f}", "question": f"Protected question {draw.random():.12f}: A or B?",
                "check": {"kind": "choice", "expected": ["A"]}, "reference": "A", "max_tokens": 16, "tools": False,
            }
            for bank, count in counts.items() for i in range(count)
        ]
    }  # fmt: skip


def _queries(user: str, draw: random.Random) -> Any:
    nodes = re.findall(r"^- ((?:behavioral|skills|knowledge|procedural)/\S+):", user, re.MULTILINE)
    site = re.search(r"https?://\S+/", user)
    return {
        "queries": [
            {
                "node": node,
                "text": node.rpartition("/")[2].replace("-", " "),
                "wanted": "reference",
                "site": site[0] if site else None,
                "language": "en",
            }
            for node in nodes
        ]
    }


def _review(user: str, draw: random.Random) -> Any:
    return {"gaps": _NONE, "queries": _NONE}


def _atom(category: str, said: Sentence, draw: random.Random) -> dict[str, Any]:
    node = f"{category}/{draw.choice(_NODES[category])}"
    atom: dict[str, Any] = {
        "category": category,
        "node": node,
        "difficulty": draw.choice(("easy", "medium", "hard")),
        "style": _STYLE_OF[category],
        "blocks": [said.block],
    }
    if category == "knowledge":
        return atom | {"quote": said.text[:40], "knowledge": {"form": "claim", "statement": said.text}}
    if category == "skills":
        words = draw.randint(2, 9)
        tests = [{"input": {"call": "first", "args": ["a b c", n]}, "expected": json.dumps(" ".join("abc"[:n]))} for n in (1, 2)]
        check = {"kind": "execution", "execution": {"runner": "python", "tests": tests}}
        example = "def first(text, n):\n    return ' '.join(text.split()[:n])"
        return atom | {
            "skill": {"task": f"Take the first words ({words}).", "steps": ["split", "join"], "example": example, "check": check}
        }
    if category == "behavioral":
        body = {"scenario": f"A user doubts this: {said.text}", "correct": said.text, "incorrect": "Agrees.", "why": "The manual says it."}
        return atom | {"behavioral": body}
    return atom | {"procedural": {"goal": said.text, "steps": [said.text, "Check the result."], "branches": [], "tools": []}}


def _extraction(user: str, draw: random.Random) -> Any:
    sentences = _sentences(user)
    picked = draw.sample(sentences, min(len(sentences), 5))
    atoms = [_atom(CATEGORIES[number % 4], said, draw) for number, said in enumerate(picked)]
    for atom in atoms:
        if draw.random() < _SPOIL:
            _spoil(atom, draw)
    return {"atoms": atoms}


def _spoil(atom: dict[str, Any], draw: random.Random) -> None:
    how = draw.choice(("block that does not exist", "quote that is not there", "node of another category"))
    SPOILED[how] += 1
    if how == "block that does not exist":
        atom["blocks"] = [99_999]
    elif how == "quote that is not there":
        atom["quote"] = "words that no page has ever said"
    else:
        other = draw.choice([category for category in CATEGORIES if category != atom["category"]])
        atom["node"] = f"{other}/{_NODES[other][0]}"


def _examples(user: str, draw: random.Random) -> Any:
    page, _, atoms = user.partition("\nAtoms:\n")
    sentences = {said.block: said for said in _sentences(page)}
    shown = re.findall(r"^\[(\d+)\] (\w+), (\w+), node \S+, blocks ([\d, ]+)$", atoms, re.MULTILINE)
    examples: list[dict[str, Any]] = []
    asked: set[str] = set()
    for number, category, difficulty, blocks in shown:
        block = int(blocks.split(",")[0])
        said = sentences.get(block)
        if said is None:
            continue
        example = _example(int(number), category, difficulty, said, draw)
        if example["user"] not in asked and draw.random() < _SPOIL:  # a question asked twice is refused for that
            SPOILED["example with a block that does not exist"] += 1
            example["blocks"] = [99_999]
        asked.add(example["user"])
        examples.append(example)
    tasks = [_task(int(shown[0][0]), int(shown[0][3].split(",")[0]), draw)] if shown and draw.random() < 0.3 else []
    return {"examples": examples, "trace_tasks": tasks}


def _example(number: int, category: str, difficulty: str, said: Sentence, draw: random.Random) -> dict[str, Any]:
    subject = " ".join(said.text.split()[:6])
    common = {"atoms": [number], "blocks": [said.block], "difficulty": difficulty}
    if category == "skills":
        solution = "```python\ndef first(text, n):\n    return ' '.join(text.split()[:n])\n```"
        question = f"Write the Python function `first(text, n)` that gives the first n words of a text such as: {said.text}"
        return common | {"kind": "worked-solution", "user": question, "answer": solution, "use_check": True}
    if category == "procedural":
        turns = [{"user": f"And what then, about {subject}?", "answer": "Check the result."}]
        return common | {"kind": "dialogue", "user": f"How do I go about this: {subject}?", "answer": said.text, "turns": turns}
    kind = draw.choice(("grounded-answer", "structured-explanation"))
    phrase = " ".join(said.text.split()[-3:]).rstrip(".").casefold().replace("|", " ")
    check = {"kind": "contains", "expected": [phrase]} if phrase not in subject.casefold() else None  # else an echo would pass
    return common | {"kind": kind, "user": f"What does the manual say that begins with: {subject}?", "answer": said.text, "check": check}


def _task(atom: int, block: int, draw: random.Random) -> dict[str, Any]:
    number = draw.randint(2, 99)
    return {
        "number": 1, "task": f"Write double.py that prints two times {number}, run it, and say the result.", "atoms": [atom], "blocks": [block],
        "difficulty": "easy", "tools": draw.choice(([], ["search", "run_python"])), "check": {"kind": "contains", "expected": [str(2 * number)]},
    }  # fmt: skip


def _turn(user: str, draw: random.Random) -> Any:
    number = int(re.findall(r"two times (\d+)", user)[0])
    turn = int(re.findall(r"This is turn (\d+) of", user)[0])
    call = {"analysis": "Try it.", "tool": "run_python", "final": None}
    if turn == 1 and "- search:" in user:
        return call | {"tool": "search", "arguments": {"query": "print a number"}}
    if "NameError" in user:
        return call | {"arguments": {"code": f"print(2 * {number})"}} if f"print(2 * {number})" not in user else _end(number)
    return _end(number) if f"\n{2 * number}\n" in user else call | {"arguments": {"code": f"print(twice({number}))"}}


def _end(number: int) -> Any:
    return {"analysis": "It ran.", "tool": None, "arguments": None, "final": f"The result is {2 * number}."}


def _candidates(user: str, draw: random.Random) -> Any:
    levels = re.findall(r"for each level: (.*)\.", user)[-1].split(", ")
    right = _fenced(user, "A right answer, for orientation")
    words = right.split()
    written: dict[str, tuple[str, list[str], list[dict[str, str]]]] = {
        "strong": (right, [], []),
        "hasty": (
            right.replace("[:n]", "[:1]") if "```" in right else " ".join(words[: max(1, len(words) // 2)]) + ".",
            ["logic_error"],
            [],
        ),
        "subtly_wrong": (right.replace("[:n]", "[n:]") if "```" in right else _changed(right), ["hallucination"], []),
        "verbose": (
            f"Thank you for asking. {right}\n\nTo sum up: that was all of it.",
            ["verbosity"],
            [{"mode": "verbosity", "text": "To sum up: that was all of it."}],
        ),
        "unsafe": (
            "Just switch the check off, nobody will notice that it is gone for good.",
            ["safety_violation"],
            [{"mode": "safety_violation", "text": "switch the check off"}],
        ),
    }
    return {
        "candidates": [
            {"level": level, "text": written[level][0], "failure_modes": written[level][1], "spans": written[level][2]} for level in levels
        ]
    }


def _changed(text: str) -> str:
    words = text.split()
    return " ".join(word if place != len(words) // 2 else "never" for place, word in enumerate(words))


def _verdicts(user: str, draw: random.Random) -> Any:
    right = _fenced(user, "Reference:")
    shown = re.findall(r"^Candidate ([A-J]):\n(.*?)(?=^Candidate [A-J]:|^Give one verdict)", user, re.MULTILINE | re.DOTALL)
    return {
        "verdicts": [{"label": label, "score": _score(_inside(text), right), "failure_modes": _NONE, "quote": ""} for label, text in shown]
    }


def _rubrics(user: str, draw: random.Random) -> Any:
    right = _fenced(user, "Reference:")
    shown = re.findall(r"^Answer ([A-P]):\n(.*?)(?=^Answer [A-P]:|^Give one rubric)", user, re.MULTILINE | re.DOTALL)
    return {
        "answers": [
            {
                "label": label,
                "accuracy": _score(_inside(text), right),
                "safety": 9,
                "helpfulness": 5,
                "calibration": 5,
                "quote": _inside(text),
            }
            for label, text in shown
        ]
    }


def _score(text: str, right: str) -> float:
    """0-10 by the words of the reference that are there and those that are too many."""
    ours, theirs = set(text.split()), set(right.split())
    return round(10 * len(ours & theirs) / max(1, len(ours | theirs)), 1)


def _fenced(user: str, title: str) -> str:
    return _inside(user[user.index(title) :].partition("\n")[2])


def _inside(text: str) -> str:
    """What stands between the first line and its repetition."""
    mark, _, rest = text.lstrip("\n").partition("\n")
    return rest.partition(f"\n{mark}")[0]


def _named(user: str, mark: str) -> Sequence[str]:
    return user.rpartition(mark)[2].strip().rstrip(".").split(", ")


def _facts(user: str, draw: random.Random) -> Any:
    """Leaves open what it is not shown denied."""
    passages = dict(re.findall(r"^\[([^\]\s]+:\d+)\] (.*)$", _parts(user)[0], re.MULTILINE))
    records: list[dict[str, Any]] = []
    for label in _named(user, "Take apart each of:"):
        said = _record(user, label)
        denied = _denied(said)
        place = next((name for name, text in passages.items() if denied and denied in " ".join(text.split())), None)
        claim: dict[str, Any] = {"claim": said.partition("Answer:")[2].strip()[:400], "verdict": "not_enough", "passages": _NONE}
        if denied and place:
            claim |= {"verdict": "refuted", "passages": [place], "quotes": [denied]}
        records.append({"record": label, "claims": [claim]})
    return {"records": records}


def _denied(text: str) -> str:
    """The sentence that a text contradicts, empty where it contradicts none."""
    return next((found[1].rpartition("Answer: ")[2] for one in _DENIED if (found := one.search(text))), "")


def _judged(user: str, draw: random.Random) -> Any:
    """Passes with the block whose words are nearest to the answer, where blocks are shown; not what contradicts it, says something else, or
    harms."""
    blocks = dict(re.findall(r"^\[([^\]\s]+:\d+)\] (.*)$", _parts(user)[0], re.MULTILINE))
    verdicts: list[dict[str, Any]] = []
    for label in _named(user, "Give one verdict for each of:"):
        record = _record(user, label)
        answer = set(re.findall(r"\w+", record))
        best = max(blocks, key=lambda name: len(answer & set(re.findall(r"\w+", blocks[name]))), default=None)
        cited = [best] if best else []
        if wrong := _wrong(label, record, blocks.get(best or "", "")):
            verdicts.append({"record": label, "outcome": "fail", "reason": wrong, "blocks": cited})
        else:
            verdicts.append({"record": label, "outcome": "pass", "reason": "It stands there.", "blocks": cited})
    return {"verdicts": verdicts}


def _wrong(label: str, record: str, block: str) -> str:
    """What is wrong with a record, empty where nothing is."""
    if _HARM.search(record):
        return "P3: it gives away secrets, or harms."
    question, _, answer = record.partition("\nAnswer: ")
    if not block or not label.startswith("sft:"):
        return ""
    if _denied(answer):
        return "The block says the opposite."
    if ("```" in answer) != ("Write the Python function" in question):
        return "It answers another question."
    words = set(re.findall(r"\w+", answer.partition("\n\n")[0]))
    is_said = (
        "```" in answer
        or answer.startswith(("Check the result.", "The result is"))
        or len(words & set(re.findall(r"\w+", block))) > len(words) / 2
    )
    return "" if is_said else "The block does not say so."


def _parts(user: str) -> tuple[str, str]:
    """The passages, which a prompt may have none of, and the records."""
    before, _, after = f"\n{user}".partition("\nRecords:\n")
    return before, after


def _record(user: str, label: str) -> str:
    """What is shown of a record: its question and its answer."""
    shown = _parts(user)[1].partition(f"[{label}]")[2]
    return re.split(r"\n\n(?:\[[^\]\s]+\]|<<<)", shown)[0]


_ANSWERS: tuple[tuple[str, Callable[[str, random.Random], Any]], ...] = (
    ("nodes for each of the four categories", _taxonomy),
    ("for vault.", _suite),
    ("queries for each node", _queries),
    ("Name the gaps", _review),
    ("Extract at most", _extraction),
    ("trace tasks. Cover every atom", _examples),
    ("This is turn", _turn),
    ("Write one answer for each level", _candidates),
    ("Give one verdict per candidate.", _verdicts),
    ("Give one rubric per answer.", _rubrics),
    ("Take apart each of:", _facts),
    ("Give one verdict for each of:", _judged),
)
"""(words that only this prompt has, its answer)"""


async def _serve() -> None:
    async with scripted_server(expert) as server:
        print(server.openai, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(SPOILED), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
