"""Values that were found somewhere in a document, looked for everywhere in it: in time linear in the text, however many they are."""

import re
from collections.abc import Collection, Iterator

from castalia.web.pii import CodeSpans, Span

_RUN = re.compile(r"\w+")


class Known:
    """Found values, by the first run of letters and digits in each."""

    def __init__(self, spans: Collection[Span]) -> None:
        self._spans = {span.value: span for span in spans}
        self._shapes: dict[str, set[tuple[int, int]]] = {}
        """By run: where in a value it stands, and how long the value is."""
        for value in self._spans:
            if run := _RUN.search(value):
                self._shapes.setdefault(run[0], set()).add((run.start(), len(value)))

    def __len__(self) -> int:
        return len(self._spans)

    def within(self, text: str) -> Iterator[Span]:
        """Where a value stands by itself, outside of code."""
        code = CodeSpans(text)
        for run in _RUN.finditer(text):
            for before, length in self._shapes.get(run[0], ()):
                start = run.start() - before
                end = start + length
                span = self._spans.get(text[start:end]) if start >= 0 else None
                alone = span and not _is_word(text[start - 1 : start]) and not _is_word(text[end : end + 1])
                if span and alone and not code.touches(start, end):
                    yield span._replace(start=start, end=end)


def _is_word(character: str) -> bool:
    return _RUN.match(character) is not None
