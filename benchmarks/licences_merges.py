"""Do almost equal but different documents stay apart? Licence texts go through the deduplicator as documents."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from castalia.records import Block, Document, LicenceDecision, Reject
from castalia.stages.deduplicate import STAGE

_LICENCE = LicenceDecision(spdx="MIT", verdict="allowed", reason="for the measurement")


def wrong_merges(folder: Path, most: int | None = None) -> int | None:
    """Texts of `folder` given up for another one though their words differ; all bear one title. None without texts."""
    paths = sorted(folder.glob("*.txt"))[:most]
    if not paths:
        return None
    documents = [_document(path) for path in paths]
    by_id = {document.id: document for document in documents}
    by_url = {document.url: document for document in documents}
    wrong = 0
    for record in STAGE.run({"documents_scrubbed": documents}, STAGE.params(), cast(Any, SimpleNamespace())):
        if isinstance(record, Reject) and (kept := re.search(r"doc_[0-9a-f]+", record.detail)):
            wrong += _words(by_url[record.subject]) != _words(by_id[kept[0]])
    return wrong


def _document(path: Path) -> Document:
    text = path.read_text(encoding="utf-8", errors="replace")
    block = Block(number=0, kind="paragraph", text=text)
    return Document(url=f"https://texts.example/{path.stem}", title="License", blocks=(block,), licence=_LICENCE)


def _words(document: Document) -> list[str]:
    return re.findall(r"\w+", document.blocks[0].text.casefold())
