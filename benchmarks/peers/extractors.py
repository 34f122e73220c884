# pyright: basic
"""Runs one extractor over pages: `python extractors.py NAME REQUEST ANSWER`, with nothing of ours imported.

REQUEST is JSON `[[html, url], ...]`, ANSWER `{"texts": [...], "seconds": [...]}` in CPU seconds of each page.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def extractor(name: str) -> Callable[[str, str], str]:
    """A function from HTML and URL to text."""
    if name == "trafilatura":
        import trafilatura  # pyright: ignore[reportMissingImports]

        return lambda html, url: trafilatura.extract(html, url=url or None, include_comments=True, include_tables=True) or ""
    if name == "resiliparse":
        from resiliparse.extract.html2text import extract_plain_text  # pyright: ignore[reportMissingImports]

        return lambda html, url: extract_plain_text(html, main_content=True, preserve_formatting=True)
    from lxml import html as lxml_html  # pyright: ignore[reportMissingImports]
    from readability import Document  # pyright: ignore[reportMissingImports]

    return lambda html, url: lxml_html.fromstring(Document(html).summary() or "<p>").text_content()


def main(name: str, request: Path, answer: Path) -> None:
    """Extracts every page; one that the extractor can't read counts as empty."""
    function = extractor(name)
    texts: list[str] = []
    seconds: list[float] = []
    for html, url in json.loads(request.read_text(encoding="utf-8")):
        started = time.process_time()
        try:
            text = function(html, url)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, its text for this page is empty, and the count says so
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            text = ""
        seconds.append(time.process_time() - started)
        texts.append(text)
    answer.write_text(json.dumps({"texts": texts, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
