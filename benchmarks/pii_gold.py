# pyright: basic
"""Labelled texts for the benchmark of personal data: what the labels are called, what is decidable by form, which half is held out."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

STRUCTURED = {
    **{"EMAIL_ADDRESS": "EMAIL", "EMAIL": "EMAIL", "PHONE_NUMBER": "PHONE", "PHONE": "PHONE", "CREDIT_CARD": "CARD"},
    **{"IBAN_CODE": "IBAN", "DE_IBAN": "IBAN", "IP_ADDRESS": "IP", "DOMAIN_NAME": "URL", "US_DRIVER_LICENSE": "LICENSE"},
    **{"US_SSN": "ID", "SSN": "ID", "DE_VAT_ID": "ID"},
}
"""Label -> our kind, for what a form decides. Persons, places, organizations, addresses, titles, dates and postal codes are left
to optional detectors: their form says nothing."""


class Label(NamedTuple):
    """A labelled span, in characters. `kind` is ours where the type is structured, the label itself otherwise."""

    start: int
    end: int
    kind: str


class Case(NamedTuple):
    """A labelled text. `held_out` cases were not looked at while patterns were written."""

    text: str
    labels: tuple[Label, ...]
    held_out: bool
    source: str


def cases(folder: Path) -> list[Case]:
    """All labelled texts. Halves are split by the hash of the sentence's template, so that no template is in both."""
    found: list[Case] = []
    for item in json.loads((folder / "presidio_generated_large.json").read_text(encoding="utf-8")):
        spans = [(span["start_position"], span["end_position"], span["entity_type"]) for span in item["spans"]]
        found.append(_case(item["full_text"], spans, f"presidio-{item['template_id']}", "presidio-research"))
    for path in sorted((folder / "datafog").glob("*.json")):
        for item in json.loads(path.read_text(encoding="utf-8")):
            spans = [(span["start"], span["end"], span["type"]) for span in item["expected_entities"]]
            found.append(_case(item["input"], spans, item["id"], "datafog"))
    return found


def texts(gold: Path) -> list[str]:
    """Real text of pages of every kind, in which personal data is rare."""
    folder = gold / "html" / "wcxb-dev" / "ground-truth"
    pages = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return [text for page in pages if (text := page["ground_truth"].get("main_content") or "")]


def code_blocks(gold: Path) -> list[str]:
    """Code: fenced blocks of the Markdown pairs, indented blocks of page texts, problems and solutions of HumanEval, HumanEval-X, MBPP."""
    found: list[str] = []
    for path in sorted((gold / "html" / "markdown-pairs-half" / "expected").rglob("*.md")):
        found += re.findall(r"^```[^\n]*\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for text in texts(gold):
        found += re.findall(r"(?:^(?:    |\t)[^\n]*\S[^\n]*\n){2,}", text, re.MULTILINE)
    for path in sorted((gold / "code").rglob("*.json*")):
        found += [value for row in _rows(path) for value in _strings(row) if "\n" in value]
    return found


def _case(text: str, spans: Sequence[tuple[int, int, str]], key: str, source: str) -> Case:
    labels = tuple(sorted(Label(start, end, STRUCTURED.get(kind, kind)) for start, end, kind in spans))
    return Case(text, labels, hashlib.sha256(key.encode()).digest()[0] % 2 == 1, source)


def _rows(path: Path) -> Iterator[object]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = raw.decode()
    yield from (json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines()))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        yield "\n".join(item for item in value if isinstance(item, str))
        for item in value:
            if not isinstance(item, str):
                yield from _strings(item)
