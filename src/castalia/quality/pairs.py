"""Pairs of answers that people judged, read from a file, and how far a judge agrees with those people.

One JSON object a line: `{"prompt": "...", "answers": ["...", "..."], "better": 1}`; `better` is 1, 2 or "tie", and may be left out: biases
are measured without it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from castalia.errors import InputError
from castalia.quality.bias import AnswerPair, PairVerdict
from castalia.statistics import Estimate, kappa_interval

Better = Literal["first", "second", "tie"]
_BETTER: Mapping[object, Better] = {1: "first", 2: "second", "tie": "tie"}
_ENOUGH = 20


class LabelledPair(NamedTuple):
    """A pair, and which answer people found better; None where the file doesn't say."""

    pair: AnswerPair
    better: Better | None


class PairsFile(NamedTuple):
    """What a file holds."""

    pairs: tuple[LabelledPair, ...]
    problems: tuple[str, ...]
    """Lines that are no pair, each with its number and what is wrong."""


def read_pairs(path: Path, limit: int | None = None) -> PairsFile:
    """The first `limit` pairs of a file; lines that are none are left out and named. Raises InputError where no pair is left."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON text may hold U+2028 unescaped
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"pairs {str(path)!r} can't be read: {error}") from error
    pairs: dict[str, LabelledPair] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if limit is not None and len(pairs) >= limit:
            break
        if not line.strip():
            continue
        found = _pair(line)
        if isinstance(found, str):
            problems.append(f"line {number}: {found}")
        else:
            pairs.setdefault(found.pair.subject, found)
    if not pairs:
        reason = f", the first: {problems[0]}" if problems else ""
        raise InputError(f'{str(path)!r} holds no pair{reason}; a line is {{"prompt": "...", "answers": ["...", "..."], "better": 1}}')
    return PairsFile(tuple(pairs.values()), tuple(problems))


def agreement_with_people(pairs: Sequence[LabelledPair], verdicts: Sequence[PairVerdict]) -> Estimate | None:
    """Cohen's kappa of people and the judge's plain verdicts, a preference only where both orders together give one.

    None below 20 pairs that both decided.
    """
    won: dict[str, list[tuple[int, float]]] = {}
    for verdict in verdicts:
        if verdict.change == "plain" and verdict.won is not None:
            won.setdefault(verdict.subject, []).append((verdict.target, verdict.won))
    judge: list[Better] = []
    people: list[Better] = []
    for one in pairs:
        given = won.get(one.pair.subject, [])
        if one.better is not None and len(given) == 2:
            target, mean = given[0][0], sum(value for _, value in given) / 2
            judge.append("tie" if mean == 0.5 else "first" if (mean > 0.5) == (target == 0) else "second")
            people.append(one.better)
    return kappa_interval(judge, people) if len(judge) >= _ENOUGH and len({*judge, *people}) > 1 else None


def _pair(line: str) -> LabelledPair | str:
    try:
        loaded: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(loaded, dict):
        return f"{line[:40]!r} is no object"
    values = cast("dict[str, Any]", loaded)
    prompt, answers, better = values.get("prompt"), values.get("answers"), values.get("better")
    if not isinstance(prompt, str) or not prompt.strip():
        return f"'prompt' is {prompt!r:.40}; it must be a text"
    texts = [text for text in cast("list[Any]", answers) if isinstance(text, str) and text.strip()] if isinstance(answers, list) else []
    if len(texts) != 2 or len(cast("list[Any]", answers)) != 2:
        return f"'answers' is {str(cast(object, answers))!r:.40}; it must be a list of two texts"
    if better is not None and (isinstance(better, bool | list | dict) or better not in _BETTER):
        return f"'better' is {better!r:.40}; it must be 1, 2 or 'tie'"
    first, second = texts
    name = hashlib.sha256(json.dumps([prompt, first, second]).encode()).hexdigest()[:16]
    return LabelledPair(AnswerPair(name, prompt, (first, second)), None if better is None else _BETTER[better])
