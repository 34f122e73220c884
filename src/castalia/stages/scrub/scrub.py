"""Personal data in a document becomes pseudonyms: one value, one pseudonym, throughout the document.

The original values are stored nowhere. In code, and in code spans of running text, only values with a check digit are
replaced: there a wrong replacement would break something that is right.
"""

import re
from collections.abc import Iterator

from castalia.engine.stage import Params
from castalia.records import Block, Document, Provenance
from castalia.web.pii import Span, find_personal_data


class ScrubParams(Params):
    """Nothing to choose: what a validator confirms is replaced."""


class Pseudonyms:
    """Names such as `[EMAIL_1]` for the values of one document."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self.replaced = 0

    def name(self, span: Span) -> str:
        """The pseudonym of a value; equal values share it."""
        self.replaced += 1
        key = (span.kind, re.sub(r"[\s.()/-]+", "", span.value).casefold() if span.kind != "EMAIL" else span.value.casefold())
        if key not in self._names:
            self._counts[span.kind] = self._counts.get(span.kind, 0) + 1
            self._names[key] = f"[{span.kind}_{self._counts[span.kind]}]"
        return self._names[key]


def scrub_document(document: Document, params: ScrubParams) -> Iterator[Document]:
    """The document with pseudonyms in place of personal data and `redactions` counted; the same document when there is none."""
    del params
    pseudonyms = Pseudonyms()
    title = scrub_text(document.title, pseudonyms)
    blocks = tuple(_scrub_block(block, pseudonyms) for block in document.blocks)
    if not pseudonyms.replaced:
        yield document
        return
    changed = {"title": title, "blocks": blocks, "redactions": document.redactions + pseudonyms.replaced}
    yield document.model_copy(update={**changed, "provenance": Provenance(parents=(document.id,))})


def scrub_text(text: str, pseudonyms: Pseudonyms, *, code: bool = False) -> str:
    """`text` with pseudonyms. With `code`, only values that a check digit confirms are replaced."""
    for span in reversed([(span, pseudonyms.name(span)) for span in find_personal_data(text, code=code)]):
        found, name = span
        text = text[: found.start] + name + text[found.end :]
    return text


def _scrub_block(block: Block, pseudonyms: Pseudonyms) -> Block:
    text = scrub_text(block.text, pseudonyms, code=block.kind == "code")
    if text == block.text:
        return block
    before = pseudonyms.replaced
    rows = tuple(tuple(scrub_text(cell, pseudonyms) for cell in row) for row in block.rows)
    pseudonyms.replaced = before  # cells repeat the text of the table
    return block.model_copy(update={"text": text, "rows": rows})
