# pyright: basic
"""Documents with planted duplicates, and the child process that is timed on them: `python -m benchmarks.duplicates_planted FOLDER COUNT STEP`."""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from castalia.records import Block, Document, LicenceDecision, Reject
from castalia.stages.deduplicate import STAGE
from castalia.store import open_store

ALLOWED = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")
KINDS = ("copy", "edited", "part", "template")
_SUBJECTS = ("server", "parser", "cache", "index", "queue", "editor", "compiler", "scheduler", "backup", "gateway")
_MEANINGS = (
    ("To {verb} the {subject}, open the {place} and press the button. It takes a moment before the change is visible.",
     "Open the {place} and push the button if you want to {verb} the {subject}. After a short while you can see what changed."),
    ("The {subject} needs {amount} gigabytes of memory. With less it becomes slow, and large jobs are refused.",
     "Give the {subject} {amount} gigabytes of memory: below that it slows down and turns big jobs away."),
    ("An error of the {subject} is written to the log in the {place}. Read the last lines first.",
     "Look into the log in the {place} when the {subject} fails; begin with its last lines."),
)  # fmt: skip


def generated(count: int, seed: int = 20) -> Iterator[tuple[Document, int]]:
    """Documents of 100 to 900 words of a skewed vocabulary, and which family each is of.

    A `template` repeats all but the names and numbers of an earlier one: it is a family of its own.
    """
    rng = random.Random(seed)
    vocabulary = [
        f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{rng.choice('bdklmnrst')}{number:x}".translate(_LETTERS)
        for number in range(20_000)
    ]
    earlier: list[tuple[int, list[str]]] = []
    for number in range(count):
        kind = rng.choice(KINDS) if earlier and rng.random() < 0.2 else "new"
        family, source = rng.choice(earlier) if kind != "new" else (number, _words(rng, vocabulary))
        words = list(source)
        if kind == "edited":
            for _ in range(len(words) // 40):
                del words[rng.randrange(len(words))]
        elif kind == "part":
            start = rng.randint(0, len(words) // 4)
            words = words[start : start + len(words) // 2]
        elif kind == "template":
            family = number
            for place in range(7, len(words), 12):
                words[place] = f"N{rng.randrange(10**6)}"
        elif kind == "new" and len(earlier) < 2_000:
            earlier.append((number, words))
        elif kind == "new":
            earlier[rng.randrange(2_000)] = (number, words)
        text = [" ".join(words[start : start + 60]) for start in range(0, len(words), 60)]
        blocks = tuple(Block(number=place, kind="paragraph", text=part) for place, part in enumerate(text))
        yield Document(url=f"http://h{number % 500}.example/{number}", title="", blocks=blocks, licence=ALLOWED), family


def plant_meanings() -> tuple[list[Document], set[frozenset[str]]]:
    """Short documents, some said twice in other words, and the pairs of ids that say the same."""
    documents: list[Document] = []
    pairs: set[frozenset[str]] = set()
    for number, subject in enumerate(_SUBJECTS):
        for which, texts in enumerate(_MEANINGS):
            values = {
                "subject": subject,
                "verb": ("restart", "update", "remove")[number % 3],
                "place": f"{subject} menu",
                "amount": number + 3,
            }
            both = [_one(f"http://h/{subject}/{which}/{place}", text.format(**values)) for place, text in enumerate(texts)]
            documents += both
            pairs.add(frozenset(document.id for document in both))
    return documents, pairs


def main(folder: Path, count: int, step: str) -> None:
    """Writes the dataset, or deduplicates it and prints figures as JSON."""
    store = open_store(folder / "store")
    if step == "make":
        families: list[int] = []

        def documents() -> Iterator[Document]:
            for document, family in generated(count):
                families.append(family)
                yield document

        store.write_dataset("documents_scrubbed", Document, documents(), fingerprint="planted")
        (folder / "families.json").write_text(json.dumps(families), encoding="utf-8")
        return
    dataset = store.read_dataset("documents_scrubbed", Document)
    started, processor = time.monotonic(), time.process_time()
    kept: dict[str, str] = {}
    rejects: list[tuple[str, str]] = []
    for record in STAGE.run({"documents_scrubbed": dataset}, STAGE.params(), None):
        if isinstance(record, Reject):
            rejects.append((record.subject, record.detail.split()[1].rstrip(":")))
        elif isinstance(record, Document):
            kept[record.id] = record.url
    seconds, used = time.monotonic() - started, time.process_time() - processor
    families = json.loads((folder / "families.json").read_text(encoding="utf-8"))
    family_of = {f"http://h{number % 500}.example/{number}": family for number, family in enumerate(families)}
    repeats = count - len(set(families))
    wrong = sum(keeper in kept and family_of[kept[keeper]] != family_of[url] for url, keeper in rejects)
    result = {"docs_per_s": count / seconds, "docs_per_cpu_s": count / used, "planted_repeats": repeats}
    print(json.dumps(result | {"planted_found": (len(rejects) - wrong) / max(1, repeats), "planted_wrong": wrong}))


def _words(rng: random.Random, vocabulary: list[str]) -> list[str]:
    return [vocabulary[int(20_000 * rng.random() ** 2)] for _ in range(rng.randint(100, 900))]


def _one(url: str, text: str) -> Document:
    return Document(url=url, title="", blocks=(Block(number=0, kind="paragraph", text=text),), licence=ALLOWED)


_LETTERS = str.maketrans("0123456789", "ghijkoqsuw")

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
