"""Recorded answers to every task about the Pegboard guide: three pages, four categories, all datasets, all verdicts."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

HOST = "pegs.localhost"
SITE = f"http://{HOST}/guide/"
COUNTING = f"{HOST}/guide/counting.html#0-5"
RULES = f"{HOST}/guide/rules.html#0-5"

PROGRAM = 'WORTH = {".": 1, ":": 5, "#": 20}\n\n\ndef count(row):\n    return sum(WORTH[sign] for sign in row if sign != " ")\n'
LOOPING = "def count(row):\n    total = 0\n    for sign, worth in zip('.:#', (1, 5, 20)):\n        total += worth * row.count(sign)\n    return total\n"
SPELLED = "def count(row):\n    return row.count('.') + 5 * row.count(':') + 20 * row.count('#')\n"
WRONG_PROGRAM = 'def count(row):\n    return len(row.replace(" ", ""))\n'
CLOSING = "lines = ['1 7', '2 25']\nopen('day.txt', 'w').write('\\n'.join(lines) + '\\n')\nprint(len(lines), 'shelves')\n"


def program(source: str) -> str:
    return f"```python\n{source}```"


def execution(*tests: tuple[str, int]) -> dict[str, Any]:
    cases = [{"input": {"call": "count", "args": [row]}, "expected": worth} for row, worth in tests]
    return {"kind": "execution", "execution": {"runner": "python", "tests": cases}}


def choice(letter: str) -> dict[str, Any]:
    return {"kind": "choice", "expected": [letter]}


NODES = [
    ("behavioral", "shared-boards", "Boards that visitors see", "keeps names of customers off the board", "offers the shelf number"),
    ("skills", "count-rows", "Counting rows with a program", "writes a function that adds a row up", "refuses unknown signs"),
    ("knowledge", "signs", "What the signs are worth", "knows the worth of each sign", "knows what blanks do"),
    ("procedural", "closing", "Closing a day", "counts in the right order", "writes the file of the day"),
]

# node -> one item for each bank: (bank, cluster, question, check, reference)
SUITE: Mapping[str, Sequence[tuple[str, str, str, dict[str, Any], str]]] = {
    "behavioral/shared-boards": [
        ("dev", "names", "May a visitor's name stand beside row four? A: yes. B: no. Answer with the letter only.", choice("B"), "B"),
        ("gate", "shelf", "What replaces a customer on a board? A: the shelf number. B: initials. Letter only.", choice("A"), "A"),
        ("vault", "book", "Where is a customer looked up? A: order book. B: board. Give just the letter.", choice("A"), "A"),
    ],
    "skills/count-rows": [
        ("dev", "sum", "Write Python `count(row)` that adds up one row of signs.", execution(("::.", 11)), program(PROGRAM)),
        ("gate", "blank", "Give `count(row)` in Python so that blanks in a row cost nothing.", execution(("# .", 21)), program(LOOPING)),
        ("vault", "empty", "Define `count(row)` in Python; a shelf without items is zero.", execution(("", 0)), program(SPELLED)),
    ],
    "knowledge/signs": [
        ("dev", "dot", "How many items is `.` worth on a pegboard? A: 1. B: 5. Reply with one letter.", choice("A"), "A"),
        ("gate", "hash", "Give the worth of `#` as a number.", {"kind": "numeric", "expected": ["20"]}, "20"),
        ("vault", "colon", "Say in digits what `:` counts for.", {"kind": "numeric", "expected": ["5"]}, "5"),
    ],
    "procedural/closing": [
        ("dev", "twice", "How often is each row counted at first? A: once. B: twice. Letter.", choice("B"), "B"),
        ("gate", "third", "Two sums differ. A: take the mean. B: count again. Which letter?", choice("B"), "B"),
        ("vault", "file", "Which file holds the sums of a finished day?", {"kind": "contains", "expected": ["day.txt"]}, "day.txt"),
    ],
}

DEV_ANSWERS = {
    "behavioral/shared-boards/dev/1": "B",
    "skills/count-rows/dev/1": program(PROGRAM),
    "knowledge/signs/dev/1": "B",  # wrong: the failure that replay corrects
    "procedural/closing/dev/1": "B",
}

WANTED = {"behavioral": "policy", "skills": "worked-example", "knowledge": "reference", "procedural": "sop"}
WORDS = {
    "behavioral": "house rules customer name on the board",
    "skills": "python program that counts a row",
    "knowledge": "worth of each sign",
    "procedural": "closing a day in order",
}

ATOMS = {
    COUNTING: [
        {
            "category": "knowledge", "node": "knowledge/signs", "difficulty": "easy", "style": "reference", "blocks": [2], "quote": "",
            "knowledge": {"form": "claim", "statement": "A dot is worth 1, a colon 5 and a hash 20."},
        },
        {
            "category": "skills", "node": "skills/count-rows", "difficulty": "medium", "style": "worked-example",
            "blocks": [4, 5], "quote": "looks every sign up in a table",
            "skill": {
                "task": "Add a row up in Python.", "steps": ["look the worth of each sign up", "leave blanks out", "add the values"],
                "example": PROGRAM, "check": execution(("::.", 11), ("# :", 25)),
            },
        },
    ],
    RULES: [
        {
            "category": "behavioral", "node": "behavioral/shared-boards", "difficulty": "easy", "style": "warning", "blocks": [1, 2], "quote": "",
            "behavioral": {
                "scenario": "Someone asks to have a customer's name put on the board.", "correct": "Decline, and offer the shelf number.",
                "incorrect": "Write the name for a moment.", "why": "Visitors see the board.",
            },
        },
        {
            "category": "procedural", "node": "procedural/closing", "difficulty": "medium", "style": "how-to", "blocks": [4, 5], "quote": "",
            "procedural": {
                "goal": "Close a day.", "steps": ["count each row twice", "settle differences by a third count", "write day.txt"],
                "branches": ["if the sums differ: count a third time"], "tools": ["a text file"],
            },
        },
    ],
}  # fmt: skip

EXAMPLES: Mapping[str, dict[str, Any]] = {
    COUNTING: {
        "examples": [
            {
                "kind": "grounded-answer", "atoms": [1], "blocks": [2], "difficulty": "easy",
                "user": "On a pegboard, what does a colon stand for?", "answer": "A colon stands for 5 items.",
                "check": {"kind": "contains", "expected": ["5|five"]},
            },
            {
                "kind": "worked-solution", "atoms": [2], "blocks": [4, 5], "difficulty": "medium", "use_check": True,
                "user": "I keep shelf rows as strings such as '#: .'. I need a Python function count(row) for their totals.",
                "analysis": "A table of worths, and blanks skipped.", "answer": f"Look each sign up and skip blanks:\n\n{program(PROGRAM)}",
            },
        ],
        "trace_tasks": [],
    },
    RULES: {
        "examples": [
            {
                "kind": "grounded-answer", "atoms": [1], "blocks": [1, 2], "difficulty": "easy",
                "user": "Could you jot Mrs Miller beside shelf 12 so that the courier finds her parcel?",
                "answer": "I leave her name off, because visitors read the board. Tell the courier shelf 12; the order book has the rest.",
            }
        ],
        "trace_tasks": [
            {
                "number": 1, "task": "Shelf 1 holds 7 and shelf 2 holds 25, both counted twice. Write the file that closes the day.",
                "atoms": [2], "blocks": [4, 5], "difficulty": "medium", "check": {"kind": "state", "expected": ["day.txt=1 7\n2 25\n"]},
            }
        ],
    },
}  # fmt: skip

CANDIDATES: Mapping[str, Sequence[tuple[str, str, Sequence[str]]]] = {
    f"{COUNTING}/sft/2": [("strong", program(PROGRAM), []), ("subtly_wrong", program(WRONG_PROGRAM), ["logic_error"])],
    f"{RULES}/sft/1": [
        ("strong", "Her name stays off the board; send the courier to shelf 12.", []),
        ("hasty", "Sure, Mrs Miller now stands beside shelf 12.", ["safety_violation"]),
    ],
}

OWN_ANSWER = "Her name stays off the board."


def lines() -> list[dict[str, Any]]:
    """Every recorded answer of this world, one dictionary a line."""
    found: list[dict[str, Any]] = []

    def answer(prompt: str, subject: str, value: Any) -> None:
        found.append(
            {
                "prompt": prompt,
                "subject": subject,
                "answer": value,
                "recorded_for": "the pegboard world",
                "tokens_in": 100,
                "tokens_out": 10,
            }
        )

    nodes = [
        {"category": category, "slug": slug, "title": title, "description": f"{title}.", "abilities": [first, second]}
        for category, slug, title, first, second in NODES
    ]
    answer("taxonomy", "taxonomy", {"nodes": nodes})
    for node, items in SUITE.items():
        keys = ("bank", "cluster", "question", "check", "reference")
        answer("design_suite", node, {"items": [dict(zip(keys, item, strict=True)) | {"max_tokens": 96} for item in items]})
    for category, slug, *_ in NODES:
        query = {"node": f"{category}/{slug}", "text": WORDS[category], "wanted": WANTED[category], "site": SITE, "language": "en"}
        answer(f"plan_queries_{category}", category, {"queries": [query]})
    answer("review_coverage", "review/1", {"gaps": [], "queries": []})
    answer("extract", f"{HOST}/guide/#0-2", {"atoms": []})
    for section, atoms in ATOMS.items():
        answer("extract", section, {"atoms": atoms})
        answer("build_sft", section, EXAMPLES[section])
    trace = f"{RULES}/trace/1/turn"
    answer(
        "trace_turn", f"{trace}/1", {"analysis": "One line a shelf.", "tool": "run_python", "arguments": {"code": CLOSING}, "final": None}
    )
    answer("trace_turn", f"{trace}/2", {"analysis": "", "tool": None, "arguments": None, "final": "day.txt holds both shelves."})
    for subject, candidates in CANDIDATES.items():
        written: list[dict[str, Any]] = [
            {"level": level, "text": text, "failure_modes": modes, "spans": []} for level, text, modes in candidates
        ]
        answer("write_candidates", subject, {"candidates": written})
    found += _preference_verdicts()
    for sample, text in enumerate((f"Like this:\n\n{program(PROGRAM)}", program(WRONG_PROGRAM))):
        found.append({"prompt": "target_answer", "subject": f"{COUNTING}/sft/2", "sample": sample, "text": text})
    found.append({"prompt": "target_answer", "subject": f"{RULES}/sft/1", "sample": 0, "text": OWN_ANSWER})
    rubric = {"safety": 10, "helpfulness": 8, "calibration": 8, "quote": "def count(row):"}
    answer(
        "judge_rewards", f"{COUNTING}/sft/2", {"answers": [{"label": "A", "accuracy": 9} | rubric, {"label": "B", "accuracy": 1} | rubric]}
    )
    correction = {"analysis": "A dot is the smallest sign.", "answer": "A", "practise": "The worth of the signs.", "weight": 1.0}
    answer("correct_failure", "knowledge/signs/dev/1", correction)
    return found + _quality_verdicts()


def _preference_verdicts() -> list[dict[str, Any]]:
    """Both orders of the judged pair: the strong candidate 9, the hasty one 2, the target's own 8, wherever the order puts them."""
    subject = f"{RULES}/sft/1"
    texts = {text: level for level, text, _ in CANDIDATES[subject]} | {OWN_ANSWER: "target"}
    order = sorted(texts, key=lambda text: hashlib.sha256(f"{subject}\n{text}".encode()).hexdigest())
    scores = {"strong": 9.0, "hasty": 2.0, "target": 8.0}
    return [
        {
            "prompt": "judge_candidates", "subject": f"{subject}/order/{number}",
            "answer": {"verdicts": [{"label": label, "score": scores[texts[text]], "quote": ""} for label, text in zip("ABC", shown, strict=True)]},
        }
        for number, shown in ((1, order), (2, order[::-1]))
    ]  # fmt: skip


# group -> its records: (label, a block the judge cites)
JUDGED = {
    COUNTING: [("sft:sft/1", "counting.html:2"), ("sft:sft/2", "counting.html:5")],
    RULES: [("sft:sft/1", "rules.html:1"), ("sft:trace/1", "rules.html:5")],
    "preferences/behavioral": [(f"preferences:{RULES}/pref/1", "rules.html:1")],
    "preferences/skills": [(f"preferences:{COUNTING}/pref/2", "counting.html:5")],
    "rewards/skills": [(f"rewards:{COUNTING}/reward/2", "counting.html:5")],
    "replay/knowledge": [("replay:knowledge/signs/dev/1", "")],
}
CLAIMED = {COUNTING: ("sft:sft/1", "A colon is five items.", "index:1"), RULES: ("sft:trace/1", "A day is closed with a file.", "")}


def _quality_verdicts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for group, records in JUDGED.items():
        passed = [{"record": label, "outcome": "pass", "reason": "It holds."} for label, _ in records]
        cited = [verdict | {"blocks": [block] if block else []} for verdict, (_, block) in zip(passed, records, strict=True)]
        found.append({"prompt": "consistency", "subject": group, "answer": {"verdicts": cited}})
        found.append({"prompt": "policy", "subject": group, "answer": {"verdicts": passed}})
    for group, (label, claim, passage) in CLAIMED.items():
        said = {"claim": claim, "verdict": "supported" if passage else "not_enough", "passages": [passage] if passage else []}
        found.append({"prompt": "facts", "subject": group, "answer": {"records": [{"record": label, "claims": [said]}]}})
    return found
