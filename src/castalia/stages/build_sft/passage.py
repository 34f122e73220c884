"""One passage with its atoms, and what may be cited from it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from castalia.records import Atom, Check, Conversation, Document, Evidence, Message, Provenance, SkillBody, Tool
from castalia.records.flaw import Flaw
from castalia.records.sections import Section, cite


class Passage(NamedTuple):
    """A section of a document and the atoms found in it, by number."""

    document: Document
    section: Section
    atoms: Mapping[int, Atom]


class Grounds(NamedTuple):
    """What an example rests on: its atoms, main one first, and its evidence."""

    atoms: tuple[Atom, ...]
    evidence: Evidence

    @property
    def check(self) -> Check | None:
        """The execution check of the first atom that has one."""
        return self._checked.check if self._checked else None

    @property
    def solutions(self) -> tuple[str, ...]:
        """The worked example that came with the check, where there is a check."""
        return (self._checked.example,) if self._checked else ()

    @property
    def _checked(self) -> SkillBody | None:
        skills = [atom.skill for atom in self.atoms if atom.skill and atom.skill.check and atom.skill.check.kind == "execution"]
        return skills[0] if skills else None


def grounds(passage: Passage, atoms: Sequence[int], blocks: Sequence[int]) -> Grounds | Flaw:
    """Resolves cited atoms and blocks; a Flaw where one of them was not shown."""
    if not atoms:
        return Flaw("no-atoms-cited", "")
    missing = [number for number in atoms if number not in passage.atoms]
    if missing:
        return Flaw("atom-not-shown", f"{missing} are not among {sorted(passage.atoms)}")
    evidence = cite(passage.document, passage.section, blocks)
    return evidence if isinstance(evidence, Flaw) else Grounds(tuple(passage.atoms[n] for n in dict.fromkeys(atoms)), evidence)


def provenance(passage: Passage, atoms: Sequence[Atom], calls: Sequence[str]) -> Provenance:
    """Parents: the document, then the atoms."""
    return Provenance(parents=(passage.document.id, *(atom.id for atom in atoms)), calls=tuple(calls))


def taught(messages: tuple[Message, ...], tools: tuple[Tool, ...] = ()) -> Conversation:
    """The conversation, with low reasoning effort where it reasons nowhere: at medium it would teach to answer without."""
    reasons = any(message.channel == "analysis" for message in messages)
    return Conversation(messages=messages, tools=tools, effort="medium" if reasons else "low")


def number_of(atom: Atom) -> int:
    """The number an atom has in its section: the last part of its subject."""
    return int(atom.subject.rpartition("/")[2])


def show_atoms(atoms: Mapping[int, Atom]) -> str:
    """The atoms as the prompt shows them."""
    return "\n\n".join(f"[{number}] {_show(atom)}" for number, atom in sorted(atoms.items()))


def _show(atom: Atom) -> str:
    head = f"{atom.category}, {atom.difficulty}, node {atom.node}, blocks {', '.join(map(str, atom.evidence.blocks))}"
    if atom.knowledge:
        return f"{head}\n{atom.knowledge.form}: {atom.knowledge.statement}"
    if atom.skill:
        parts = [f"task: {atom.skill.task}", _listed("steps", atom.skill.steps), f"example:\n{atom.skill.example}"]
        if atom.skill.check and atom.skill.check.execution:
            tests = [f"input {test.input} gives {test.expected}" for test in atom.skill.check.execution.tests]
            parts.append(_listed(f"executable check, runner {atom.skill.check.execution.runner}", tests))
        return head + "\n" + "\n".join(part for part in parts if part)
    if atom.behavioral:
        body = atom.behavioral
        return f"{head}\nscenario: {body.scenario}\ngood: {body.correct}\nbad: {body.incorrect}\nwhy: {body.why}"
    if atom.procedural:
        body = atom.procedural
        parts = [f"goal: {body.goal}", _listed("steps", body.steps), _listed("branches", body.branches), _listed("tools", body.tools)]
        return head + "\n" + "\n".join(part for part in parts if part)
    raise AssertionError(f"atom {atom.id!r} has no body")  # the record's validator makes this impossible


def _listed(title: str, items: Sequence[str]) -> str:
    return f"{title}:\n" + "\n".join(f"{i}. {item}" for i, item in enumerate(items, start=1)) if items else ""
