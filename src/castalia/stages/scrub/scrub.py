"""Personal data in a document becomes pseudonyms: one value, one pseudonym, throughout the document.

What is found once, by a word beside it for example, is replaced wherever it stands. The original values are stored nowhere.
In code, and in code spans of running text, only what is certain is replaced: there a wrong replacement would break something.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pydantic import Field, computed_field, field_validator

from castalia.engine import load_plugin, plugin_identity
from castalia.engine.stage import Params
from castalia.errors import ConfigError
from castalia.records import Block, Document, Provenance, Redaction, Reject
from castalia.stages.scrub.known import Known
from castalia.stages.scrub.pseudonyms import Pseudonyms, Style
from castalia.web.pii import CodeSpans, Span, apart, find_personal_data

GROUP = "castalia.detectors"
Detector = Callable[[str], Iterable[Span]]
"""Takes a text, returns spans of it: what an entry point of the group offers, for names, places and what else has no form."""
_PASSES = 4
MOST_VALUES = 2_000
"""Different values in a document."""


class ScrubParams(Params):
    """What else is looked for beside what a form decides, and what stands in its place."""

    pseudonyms: Style = Field("plausible", description="`plausible`: values of the same form that lead to nobody; `marked`: `[EMAIL_1]`.")
    detectors: tuple[str, ...] = Field((), description="Names of installed plug-in detectors, for names and places for example.")

    @computed_field(description="What each of them is made of: another version finds other things.")
    @property
    def plugins(self) -> tuple[str, ...]:
        """Identities of the detectors, in their order."""
        return tuple(plugin_identity(GROUP, name) for name in self.detectors)

    @field_validator("detectors")
    @classmethod
    def _usable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        detectors(names)  # raises now, not after pages were fetched
        return names


class Replaced(NamedTuple):
    """A pseudonym in a text, in characters of the text as it is now."""

    start: int
    end: int
    kind: str
    rule: str
    pseudonym: str


def detectors(names: Sequence[str]) -> tuple[Detector, ...]:
    """The installed detectors of these names. Raises ConfigError for one that is absent or can't be called."""
    loaded = tuple(load_plugin(GROUP, name) for name in names)
    for name, detector in zip(names, loaded, strict=True):
        if not callable(detector):
            raise ConfigError(
                f"detector {name!r} is {detector!r:.80}; a function from a text to spans is needed. Point its entry point at one"
            )
    return loaded


def scrub_document(document: Document, params: ScrubParams) -> Iterator[Document | Redaction | Reject]:
    """The document with pseudonyms in place of personal data, `redactions` counted, and a record of each; itself when there is none.

    Reject reason: `personal-data-flood` for more different values than a text about anything has: a directory, a log, a leak.
    """
    extra = detectors(params.detectors)
    texts = [(-1, document.title, False), *((block.number, block.text, block.kind == "code") for block in document.blocks)]
    cells = [cell for block in document.blocks for row in block.rows for cell in row]
    spans = [
        *(span for _, text, code in texts for span in find(text, extra, code=code)),
        *(span for cell in cells for span in find(cell, extra)),
    ]
    if not spans:
        yield document
        return
    known = Known(spans)
    if len(known) > MOST_VALUES:
        detail = f"{len(known)} different values of personal data, at most {MOST_VALUES} are replaced"
        provenance = Provenance(parents=(document.id,))
        yield Reject(stage="scrub", subject=document.url, reason="personal-data-flood", detail=detail, provenance=provenance)
        return
    whole = "\n".join([document.title, *(block.text for block in document.blocks)])
    pseudonyms = Pseudonyms(params.pseudonyms, lambda name: name in whole)
    done = {number: scrub_text(text, pseudonyms, extra, code=code, known=known) for number, text, code in texts}
    blocks = tuple(_with(block, done[block.number][0], pseudonyms, extra, known) for block in document.blocks)
    count = sum(len(replaced) for _, replaced in done.values())
    changed = {"title": done[-1][0], "blocks": blocks, "redactions": document.redactions + count}
    scrubbed = document.model_copy(update={**changed, "provenance": Provenance(parents=(document.id,))})
    yield scrubbed
    for number, (_, replaced) in sorted(done.items()):
        for item in replaced:
            yield Redaction(document=scrubbed.id, block=number, provenance=Provenance(parents=(scrubbed.id,)), **item._asdict())


def find(text: str, extra: Sequence[Detector] = (), *, code: bool = False) -> list[Span]:
    """What forms decide, then what detectors add where nothing was found. Detectors don't read code."""
    spans = find_personal_data(text, code=code)
    if code or not extra:
        return spans
    inside = CodeSpans(text)
    found = (span for detector in extra for span in detector(text) if not inside.touches(span.start, span.end))
    return apart([*spans, *(span for span in found if not _overlaps(span, spans))])  # a form is more telling than a model


def _overlaps(span: Span, others: Sequence[Span]) -> bool:
    place = bisect_left(others, span)
    return any(other.start < span.end and span.start < other.end for other in others[max(0, place - 1) : place + 1])


def scrub_text(
    text: str, pseudonyms: Pseudonyms, extra: Sequence[Detector] = (), *, code: bool = False, known: Known | None = None
) -> tuple[str, list[Replaced]]:
    """`text` with pseudonyms, and where they stand. With `code`, only what is certain is replaced.

    A replacement can join with what stands beside it, so the text is read again until nothing is found.
    """
    done: list[Replaced] = []
    for _ in range(_PASSES):
        spans = find(text, extra, code=code)
        if known and not code:
            spans = apart([*spans, *known.within(text)])
        if not spans:
            break
        text, done = _named(text, done, [(span, pseudonyms.name(span)) for span in spans])
    return text, done


def _named(text: str, earlier: Sequence[Replaced], named: Sequence[tuple[Span, str]]) -> tuple[str, list[Replaced]]:
    """The text with names in place of spans, and where names stand in it then: these, and the earlier ones that were not replaced."""
    parts: list[str] = []
    done: list[Replaced] = []
    rest = deque(earlier)
    place = length = 0  # the same place, before and after
    for span, name in named:
        while rest and rest[0].end <= span.start:
            done.append(_moved(rest.popleft(), length - place))
        while rest and rest[0].start < span.end:
            rest.popleft()
        parts += [text[place : span.start], name]
        start = length + span.start - place
        place, length = span.end, start + len(name)
        done.append(Replaced(start, length, span.kind, span.rule, name))
    return "".join([*parts, text[place:]]), [*done, *(_moved(item, length - place) for item in rest)]


def _moved(item: Replaced, by: int) -> Replaced:
    return item._replace(start=item.start + by, end=item.end + by)


def _with(block: Block, text: str, pseudonyms: Pseudonyms, extra: Sequence[Detector], known: Known) -> Block:
    rows = tuple(tuple(scrub_text(cell, pseudonyms, extra, known=known)[0] for cell in row) for row in block.rows)
    return block if text == block.text and rows == block.rows else block.model_copy(update={"text": text, "rows": rows})
