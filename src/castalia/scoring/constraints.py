"""Rules about the form of an answer, one function per rule. `RULES` is the vocabulary of `Check.expected` for kind `constraints`.

A rule is a name, or `name=value`. Words are runs of non-space outside fenced code; phrases are looked for as in `contains`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from castalia.errors import ConfigError
from castalia.records import Check
from castalia.scoring.fences import code_blocks, without_code
from castalia.scoring.normalize import alternatives, normalize, occurs
from castalia.scoring.values import Score, right, wrong

_BULLET = re.compile(r"(?m)^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')\]*]|$)")
_LETTERS = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Rule:
    """What a rule takes after `=` (`count`, `phrase` or nothing) and how it judges (answer, value)."""

    takes: str
    holds: Callable[[str, str], bool]


def _words(answer: str) -> int:
    return len(without_code(answer).split())


def _sentences(answer: str) -> int:
    text = without_code(answer).strip()
    ends = len(_SENTENCE_END.findall(text))
    return ends + (1 if text and not _SENTENCE_END.search(text[-2:]) else 0)


def _bullets(answer: str) -> int:
    return len(_BULLET.findall(without_code(answer)))


def _lines(answer: str) -> int:
    return sum(1 for line in answer.splitlines() if line.strip())


def _is_json(answer: str) -> bool:
    blocks = code_blocks(answer)
    text = blocks[0].text if len(blocks) == 1 and not without_code(answer).strip() else answer
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _has(answer: str, phrase: str) -> bool:
    return any(occurs(one, normalize(answer)) for one in alternatives(phrase))


def _letters(answer: str) -> str:
    return "".join(_LETTERS.findall(answer))


def _at_most(measure: Callable[[str], int]) -> Rule:
    return Rule("count", lambda answer, value: measure(answer) <= int(value))


def _at_least(measure: Callable[[str], int]) -> Rule:
    return Rule("count", lambda answer, value: measure(answer) >= int(value))


def _exactly(measure: Callable[[str], int]) -> Rule:
    return Rule("count", lambda answer, value: measure(answer) == int(value))


def _form(holds: Callable[[str], bool]) -> Rule:
    return Rule("nothing", lambda answer, _: holds(answer))


def _phrase(holds: Callable[[str, str], bool]) -> Rule:
    return Rule("phrase", holds)


RULES: Mapping[str, Rule] = {
    "max_words": _at_most(_words),
    "min_words": _at_least(_words),
    "max_sentences": _at_most(_sentences),
    "min_sentences": _at_least(_sentences),
    "sentences": _exactly(_sentences),
    "max_lines": _at_most(_lines),
    "lines": _exactly(_lines),
    "bullets": _exactly(_bullets),
    "min_bullets": _at_least(_bullets),
    "max_bullets": _at_most(_bullets),
    "no_bullets": _form(lambda answer: _bullets(answer) == 0),
    "json": _form(_is_json),
    "code_block": _form(lambda answer: bool(code_blocks(answer))),
    "no_code": _form(lambda answer: "`" not in answer and not code_blocks(answer)),
    "must_include": _phrase(_has),
    "must_not_include": _phrase(lambda answer, value: not _has(answer, value)),
    "starts_with": _phrase(lambda answer, value: normalize(answer).startswith(normalize(value))),
    "ends_with": _phrase(lambda answer, value: normalize(answer).endswith(normalize(value))),
    "lowercase": _form(lambda answer: _letters(answer) == _letters(answer).lower()),
    "uppercase": _form(lambda answer: _letters(answer) == _letters(answer).upper()),
}


def score_constraints(check: Check, answer: str) -> Score:
    """Passes when the answer isn't empty and every rule holds. Raises ConfigError for a rule that isn't one."""
    rules = [parse_rule(text) for text in check.expected]
    if not rules:
        raise ConfigError("a check of kind 'constraints' has no rules; give at least one, e.g. 'max_words=60'")
    if not answer.strip():
        return wrong("is empty")
    broken = [text for text, (rule, value) in zip(check.expected, rules, strict=True) if not rule.holds(answer, value)]
    return wrong(f"breaks {', '.join(broken)}") if broken else right(f"keeps {', '.join(check.expected)}")


def parse_rule(text: str) -> tuple[Rule, str]:
    """The rule and its value. Raises ConfigError with the vocabulary."""
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    rule = RULES.get(name)
    if rule is None:
        raise ConfigError(f"{text!r} is no constraint; there are {', '.join(RULES)}")
    if rule.takes == "count" and not re.fullmatch(r"[0-9]{1,6}", value):
        raise ConfigError(f"constraint {text!r} needs a count, e.g. {name}=3")
    if rule.takes == "phrase" and not alternatives(value):
        raise ConfigError(f"constraint {text!r} needs a phrase, e.g. {name}=escaping")
    if rule.takes == "nothing" and equals:
        raise ConfigError(f"constraint {text!r} takes no value; write {name}")
    return rule, value
