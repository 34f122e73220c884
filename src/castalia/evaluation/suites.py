"""Suites are frozen by hash before data is collected. A changed item is a new suite.

The frozen file is canonical JSON that names items by subject and hash and shows none of their content, so it may be
committed, mailed and compared without giving a GATE or VAULT item away.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from castalia.errors import ConfigError, InputError, StaleStage
from castalia.records import Bank, Frozen, SuiteItem, canonical_json, content_hash
from castalia.store import write_file

BANKS: tuple[Bank, ...] = ("dev", "gate", "vault")


class FrozenItem(Frozen):
    """An item by name and hash."""

    subject: str = Field(description="Stable name of the item.")
    id: str = Field(description="Its id, a hash of its content.")


class FrozenBank(Frozen):
    """One bank."""

    bank: Bank = Field(description="Which bank.")
    sha256: str = Field(description="Hash over its item ids, sorted.")
    behavioral: int = Field(description="Number of behavioral items.")
    skills: int = Field(description="Number of skills items.")
    knowledge: int = Field(description="Number of knowledge items.")
    procedural: int = Field(description="Number of procedural items.")
    items: tuple[FrozenItem, ...] = Field(description="Its items, sorted by subject.")


class FrozenSuite(Frozen):
    """A suite whose content can no longer change unseen."""

    sha256: str = Field(description="Hash over the hashes of the banks: the suite's name.")
    banks: tuple[FrozenBank, ...] = Field(description="DEV, GATE and VAULT.")

    def counts(self) -> dict[Bank, dict[str, int]]:
        """Items by bank and category."""
        return {
            b.bank: {"behavioral": b.behavioral, "skills": b.skills, "knowledge": b.knowledge, "procedural": b.procedural}
            for b in self.banks
        }


def freeze(items: Sequence[SuiteItem]) -> FrozenSuite:
    """The frozen form of a suite. The order of `items` does not matter.

    Raises ConfigError where the banks would not measure what they claim: a subject or question that occurs twice, or a cluster
    that lies in two banks.
    """
    problems = _problems(items)
    if problems:
        raise ConfigError(
            "suite can't be frozen: " + "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        )
    banks = tuple(_frozen_bank(name, [item for item in items if item.bank == name]) for name in BANKS)
    return FrozenSuite(sha256=content_hash([[bank.bank, bank.sha256] for bank in banks]), banks=banks)


def suite_hash(items: Sequence[SuiteItem]) -> str:
    """sha256 in hex over the ids of exactly these items, in any order."""
    return content_hash(sorted(item.id for item in items))


def write_frozen(suite_file: Path, suite: FrozenSuite) -> None:
    """Writes the frozen file: canonical JSON, one line. The file appears whole or not at all. Raises StorageFull, StoreError."""
    write_file(suite_file, f"{canonical_json(suite.model_dump(mode='json'))}\n".encode())


def read_frozen(suite_file: Path) -> FrozenSuite:
    """The suite in a frozen file. Raises InputError when it is missing or not one, or its hashes don't fit its items."""
    try:
        suite = FrozenSuite.model_validate(json.loads(suite_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(f"frozen suite {suite_file.name!r} can't be read: {error}; delete it to freeze the suite as it is now") from error
    hashes = [content_hash(sorted(item.id for item in bank.items)) for bank in suite.banks]
    if hashes != [bank.sha256 for bank in suite.banks] or suite.sha256 != content_hash([[bank.bank, bank.sha256] for bank in suite.banks]):
        raise InputError(
            f"frozen suite {suite_file.name!r} was edited: its hashes don't fit its items; restore the file from version control"
        )
    return suite


def verify_frozen(suite_file: Path, items: Sequence[SuiteItem]) -> FrozenSuite:
    """The frozen suite, when `items` are exactly its items. Raises StaleStage naming what differs, and the errors of `read_frozen`."""
    suite = read_frozen(suite_file)
    frozen = {item.subject: item.id for bank in suite.banks for item in bank.items}
    now = {item.subject: item.id for item in items}
    if frozen == now and len(now) == len(items):
        return suite
    changed = sorted(subject for subject in frozen.keys() & now.keys() if frozen[subject] != now[subject])
    added, removed = sorted(now.keys() - frozen.keys()), sorted(frozen.keys() - now.keys())
    facts = [
        f"{len(names)} {verb} ({names[0]!r})" for names, verb in ((changed, "changed"), (added, "added"), (removed, "removed")) if names
    ]
    facts = facts or [f"{len(items) - len(now)} given twice"]
    raise StaleStage(
        f"suite {suite_file.name!r} is frozen as {suite.sha256[:12]}, but its items differ: {', '.join(facts)}. "
        f"A changed item is a new suite: "
        f"restore the items, or freeze under a new file name and evaluate the promoted model on it before comparing"
    )


def bank(items: Sequence[SuiteItem], name: Bank, *, opened_for: str = "") -> list[SuiteItem]:
    """The items of one bank, sorted by subject. VAULT opens only with the release it is opened for.

    Raises ConfigError for VAULT without `opened_for`: each look wears it out.
    """
    if name == "vault" and not opened_for.strip():
        raise ConfigError("bank 'vault' is opened at a release only; say which one with opened_for='NAME VERSION', or use 'gate'")
    return sorted((item for item in items if item.bank == name), key=lambda item: item.subject)


def question(item: SuiteItem) -> str:
    """What the user asks in an item, without developer text and tools."""
    return "\n".join(message.content for message in item.prompt.messages if message.role == "user")


def _frozen_bank(name: Bank, items: list[SuiteItem]) -> FrozenBank:
    counts = Counter(item.category for item in items)
    return FrozenBank(
        bank=name,
        sha256=suite_hash(items),
        behavioral=counts["behavioral"],
        skills=counts["skills"],
        knowledge=counts["knowledge"],
        procedural=counts["procedural"],
        items=tuple(sorted((FrozenItem(subject=item.subject, id=item.id) for item in items), key=lambda item: item.subject)),
    )


def _problems(items: Sequence[SuiteItem]) -> list[str]:
    if not items:
        return ["it has no items"]
    subjects = Counter(item.subject for item in items)
    problems = [f"subject {subject!r} occurs {count} times" for subject, count in subjects.items() if count > 1]
    asked: dict[str, SuiteItem] = {}
    clusters: dict[tuple[str, str], SuiteItem] = {}
    for item in items:
        first = asked.setdefault(" ".join(question(item).casefold().split()), item)
        if first is not item and first.subject != item.subject:
            problems.append(f"items {first.subject!r} and {item.subject!r} ask the same question")
        first = clusters.setdefault((item.node, item.cluster), item)
        if first.bank != item.bank:
            problems.append(
                f"cluster {item.cluster!r} lies in bank {first.bank!r} ({first.subject!r}) and in {item.bank!r} ({item.subject!r})"
            )
    return problems
