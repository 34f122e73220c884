"""Overlap of training text with protected items, by words. What is found here stops the training.

Texts are compared as normalized words (NFKC, case folded; punctuation dropped, but runs of symbols such as `<%!` kept, for
questions about code can differ in nothing else). Five methods, strongest first; a pair is
reported once, by the first that holds:

exact           the same words, in any order when there are at least five
13-gram         13 consecutive words of the item's question stand in the training prompt or answer (GPT-3, arXiv:2005.14165)
8-gram+answer   8 consecutive words of the question stand in the prompt, and the reference in the training answer (a single
                character must be the whole answer: "a" is in every text)
answer          the training answer holds 80 % of the 13-grams of a reference of at least 20 words
near-identical  the word 3-grams of question and prompt overlap: Jaccard at least 0.6, or 90 % of the question's in the prompt

N-grams that stand in items of three or more clusters are the suite's own boilerplate ("Answer with the letter only.") and never
count. Overlaps are exact, from an inverted index over the items, which are few; the training text streams past it.
Rewordings that share a fact but not the words are no hit here.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from castalia.evaluation.suites import question
from castalia.records import SuiteItem

LONG, SHORT, SHINGLE = 13, 8, 3
NEAR_JACCARD, NEAR_CONTAINED, ANSWER_CONTAINED = 0.6, 0.9, 0.8
REORDERED_WORDS, ANSWER_WORDS, BOILERPLATE_CLUSTERS = 5, 20, 3
_WORD = re.compile(r"\w+|[^\w\s]+")
_QUOTING, _PROSE = "`'\".,;:?’‘“”…", frozenset("`'\".,;:?’‘“”…!()[]-–—/")

Gram = tuple[str, ...]


class TrainingText(NamedTuple):
    """What a model would read and learn from one training record."""

    record: str
    prompt: str  # what users say in it, without developer text and tools
    answer: str
    rejected: str = ""  # the worse answer of a pair, which preference training shows too


class Leak(NamedTuple):
    """A training record that is too close to a protected item."""

    record: str
    item: str  # subject
    method: str
    similarity: float  # in [0, 1]: share of the item's n-grams found, or the Jaccard index
    excerpt: str  # the shared words


@dataclass(frozen=True)
class _Item:
    subject: str
    words: Gram
    long: frozenset[Gram]
    short: frozenset[Gram]
    shingles: frozenset[Gram]
    reference: Gram
    reference_long: frozenset[Gram]


def find_leaks(training: Iterable[TrainingText], protected: Sequence[SuiteItem]) -> list[Leak]:
    """All pairs of training record and protected item that overlap, in training order, then by subject. DEV items are not protected."""
    items, boilerplate = _prepare([item for item in protected if item.bank != "dev"])
    index: dict[Gram, list[int]] = {}
    for number, item in enumerate(items):
        for gram in item.long | item.short | item.shingles | item.reference_long | {item.words, _in_any_order(item.words)}:
            index.setdefault(gram, []).append(number)
    return [leak for text in training for leak in _leaks(text, items, index, boilerplate)]


def normalize(text: str) -> Gram:
    """The words and symbol runs of a text, folded so that spelling variants of the same character are equal."""
    found: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    kept = (word if word[0].isalnum() or word[0] == "_" else "" if _PROSE.issuperset(word) else word.strip(_QUOTING) for word in found)
    return tuple(word for word in kept if word)


def _leaks(text: TrainingText, items: Sequence[_Item], index: dict[Gram, list[int]], boilerplate: frozenset[Gram]) -> Iterator[Leak]:
    prompt = normalize(text.prompt)
    answers = [(answer, _grams(answer, LONG)) for answer in map(normalize, (text.answer, text.rejected))]
    shingles = _grams(prompt, SHINGLE) - boilerplate
    prompt_grams = _grams(prompt, LONG) | _grams(prompt, SHORT)
    all_grams = shingles.union(prompt_grams, *(grams for _, grams in answers))
    near = {number for gram in all_grams & index.keys() for number in index[gram]}
    same = {*index.get(prompt, ()), *index.get(_in_any_order(prompt), ())} if prompt else set[int]()
    for number in sorted(near | same, key=lambda n: items[n].subject):
        found = [_compare(prompt, answer, shingles, prompt_grams, grams, items[number]) for answer, grams in answers]
        leak = next((leak for leak in found if leak is not None), None)
        if leak is not None:
            yield Leak(text.record, items[number].subject, *leak)


def _compare(
    prompt: Gram, answer: Gram, shingles: set[Gram], prompt_grams: set[Gram], answer_grams: set[Gram], item: _Item
) -> tuple[str, float, str] | None:
    reordered = len(prompt) >= REORDERED_WORDS and _in_any_order(prompt) == _in_any_order(item.words)
    if prompt and (prompt == item.words or reordered):
        return "exact", 1.0, " ".join(prompt)
    shared = item.long & (prompt_grams | answer_grams)
    if shared:
        return "13-gram", len(shared) / len(item.long), " ".join(min(shared))
    shared = item.short & prompt_grams
    if shared and _answers(answer, item.reference):
        return "8-gram+answer", len(shared) / len(item.short), " ".join(min(shared))
    shared = item.reference_long & answer_grams
    if len(item.reference) >= ANSWER_WORDS and len(shared) >= ANSWER_CONTAINED * len(item.reference_long) > 0:
        return "answer", len(shared) / len(item.reference_long), " ".join(min(shared))
    shared = item.shingles & shingles
    if len(shared) > 1:  # a single common 3-gram is no wording
        jaccard, contained = len(shared) / len(item.shingles | shingles), len(shared) / len(item.shingles)
        if jaccard >= NEAR_JACCARD or (contained >= NEAR_CONTAINED and len(shared) > 2):
            return "near-identical", max(jaccard, contained), " ".join(min(shared))
    return None


def _prepare(protected: Sequence[SuiteItem]) -> tuple[list[_Item], frozenset[Gram]]:
    words = [normalize(question(item)) for item in protected]
    references = [normalize(item.reference) for item in protected]
    boilerplate = _boilerplate([(f"{item.node}/{item.cluster}", w) for item, w in zip(protected, words, strict=True)])
    items = [
        _Item(
            subject=item.subject,
            words=asked,
            long=frozenset(_grams(asked, LONG) - boilerplate),
            short=frozenset(_grams(asked, SHORT) - boilerplate),
            shingles=frozenset(_grams(asked, SHINGLE) - boilerplate),
            reference=reference,
            reference_long=frozenset(_grams(reference, LONG)),
        )
        for item, asked, reference in zip(protected, words, references, strict=True)
    ]
    return items, boilerplate


def _boilerplate(questions: Sequence[tuple[str, Gram]]) -> frozenset[Gram]:
    clusters: dict[Gram, set[str]] = {}
    for cluster, words in questions:
        for size in (LONG, SHORT, SHINGLE):
            for gram in _grams(words, size):
                clusters.setdefault(gram, set()).add(cluster)
    return frozenset(gram for gram, names in clusters.items() if len(names) >= BOILERPLATE_CLUSTERS)


def _grams(words: Gram, size: int) -> set[Gram]:
    return {words[start : start + size] for start in range(len(words) - size + 1)}


def _in_any_order(words: Gram) -> Gram:
    return ("", *sorted(words))  # the empty word keeps it apart from a text that is sorted already


def _answers(answer: Gram, reference: Gram) -> bool:
    if len("".join(reference)) < 2:
        return bool(reference) and answer == reference
    return any(answer[start : start + len(reference)] == reference for start in range(len(answer) - len(reference) + 1))
