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
_SAID_TWICE = (
    ("Backups run every night at two. Check the log in the morning to see that they succeeded.",
     "Each night at two o'clock the data is backed up; look at the log the next morning to make sure it worked."),
    ("Tomatoes need full sun and regular watering, best at the root and in the morning.",
     "Grow tomatoes in full sunlight and water the roots regularly, preferably early in the day."),
    ("A mutex lets only one thread enter the critical section at a time; the others wait.",
     "With a mutex, threads wait while another thread holds the critical section, so only one is inside."),
    ("The museum is closed on Mondays. Tickets are cheaper for students and pensioners.",
     "Students and retired people pay less for museum tickets. On Monday the museum does not open."),
    ("Inflation fell to three percent in spring because energy prices dropped.",
     "Since energy got cheaper, the inflation rate went down to three percent during the spring."),
    ("To change a bicycle tire, take off the wheel, lift the tire with levers and pull out the tube.",
     "Changing the tire of a bike: remove the wheel, use tire levers to lift it, then take the tube out."),
    ("Vaccines train the immune system to recognize a virus before an infection happens.",
     "Before any infection, a vaccine teaches the immune system what the virus looks like."),
    ("A hash table stores values under keys and finds them in constant time on average.",
     "Looking up a key in a hash table takes constant time on average, since values are stored by key."),
    ("The river flooded the old town after three days of heavy rain.",
     "Three days of strong rain made the river flood the historic town center."),
    ("Whales are mammals: they breathe air and feed their young with milk.",
     "As mammals, whales give milk to their calves and breathe air."),
    ("Bread rises because yeast turns sugar into carbon dioxide that is caught in the dough.",
     "Yeast converts sugar to carbon dioxide; trapped in the dough, the gas makes bread rise."),
    ("Photosynthesis uses sunlight to make sugar from water and carbon dioxide.",
     "Plants produce sugar out of carbon dioxide and water with the energy of sunlight: photosynthesis."),
)  # fmt: skip
_SAME_TOPIC = (
    "Backups that nobody ever restored are no backups: practice a restore every quarter.",
    "Pick tomatoes when they are red and firm, and never keep them in the refrigerator.",
    "Two threads that wait for each other's mutex are in a deadlock.",
    "The museum bought a painting of the Dutch school at an auction in London.",
    "The central bank raised its interest rate to slow down inflation.",
    "A bicycle chain lasts longer when it is cleaned and oiled every month.",
    "A virus can't multiply without a cell whose machinery it uses.",
    "Collisions in a hash table are resolved by chaining or by open addressing.",
    "The old town has narrow streets, and cars are not allowed there.",
    "Whales were hunted for their oil until the middle of the twentieth century.",
    "Rye bread keeps for a week when it is wrapped in cloth.",
    "Leaves turn yellow in autumn when the tree withdraws the green pigment.",
)


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
    """Short documents: statements said in two ways, and others on the same topics. With them the pairs of ids that say the same."""
    pairs = [[_one(f"http://h/said/{number}/{way}", text) for way, text in enumerate(texts)] for number, texts in enumerate(_SAID_TWICE)]
    others = [_one(f"http://h/other/{number}", text) for number, text in enumerate(_SAME_TOPIC)]
    return [document for pair in pairs for document in pair] + others, {frozenset(document.id for document in pair) for pair in pairs}


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
