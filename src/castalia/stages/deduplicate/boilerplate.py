"""Blocks that a site repeats on its pages: navigation, notices, calls to subscribe. They say nothing about which pages are one."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import numpy as np

from castalia.records import Document

_LEAST_PAGES = 5
_SHARE = 0.2
_LEFT = 0.2
"""A document that would keep less of its text is compared whole: what is repeated is the document itself."""


class Boilerplate:
    """Counts blocks by site. Lead all documents through `counted`, call `finish`, then ask for the text of each without what its site
    repeats."""

    def __init__(self) -> None:
        self._seen = array("Q")
        self._pages: Counter[str] = Counter()
        self._repeated: dict[int, int] = {}

    def counted(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents; their blocks are counted as they pass, each once a document."""
        for document in documents:
            site = _site(document)
            self._pages[site] += 1
            self._seen.extend({_key(site, block.text) for block in document.blocks})
            yield document

    def finish(self) -> None:
        """Counts, and keeps only what several pages have."""
        keys, counts = np.unique(np.frombuffer(self._seen, dtype=np.uint64), return_counts=True)
        several = counts >= _LEAST_PAGES
        self._repeated = dict(zip(keys[several].tolist(), counts[several].tolist(), strict=True))
        self._seen = array("Q")

    def text(self, document: Document) -> str:
        """The document's text without repeated blocks."""
        site = _site(document)
        least = max(_LEAST_PAGES, self._pages[site] * _SHARE)
        whole = [block.text for block in document.blocks]
        own = [text for text in whole if self._repeated.get(_key(site, text), 0) < least] if self._repeated else whole
        return "\n".join(own if _length(own) >= _LEFT * _length(whole) else whole)


def _site(document: Document) -> str:
    return urlsplit(document.url).netloc.casefold()


def _key(site: str, text: str) -> int:
    digest = hashlib.blake2b(f"{site}\n{' '.join(text.split()).casefold()}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _length(texts: Sequence[str]) -> int:
    return sum(map(len, texts))
