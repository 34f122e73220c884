# pyright: basic
"""Pages and HTML-Markdown pairs with what should come out of them.

Gold code is what stands verbatim in the page's source once tags are taken out, in an element that shows its spaces or with `<br>` at the
ends of its lines: an annotator's slip can't be found by anyone, and lines that only the source of a sentence or a price has are no code.
"""

import gzip
import hashlib
import html as entities
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from castalia.web.extract import fitted_pages

_FENCE = re.compile(r"^(`{3,})[^\n`]*\n(.*?)\n\1[ \t]*$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^(?: {2,}|\t)\S", re.MULTILINE)
_LISTED = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<(?:!--.*?--|/?[A-Za-z](?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.DOTALL)
_SPACED = re.compile(r"<(pre|xmp|listing|textarea|code|samp)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"^\|(.*)\|[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"[\s|:-]+")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Page:
    """A page of the content benchmark."""

    name: str
    url: str
    kind: str
    """article, service, product, collection, forum, listing or documentation."""
    html: str
    text: str
    """The gold main content."""
    code: tuple[str, ...]
    """Multi-line code with indented lines."""
    rows: tuple[tuple[str, ...], ...]
    """Cells of table rows, as words."""


@dataclass(frozen=True)
class Pair:
    """A page and the Markdown expected of it."""

    name: str
    url: str
    html: str
    markdown: str
    title: str
    text: str
    code: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    headings: tuple[tuple[int, str], ...]


def read_pages(folder: Path) -> list[Page]:
    """All pages with gold text, in the order of their names; none where the folder is missing."""
    pages: list[Page] = []
    for path in sorted((folder / "ground-truth").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        gold = record["ground_truth"]
        text, markdown = gold.get("main_content") or "", gold.get("main_content_markdown") or ""
        source = folder / "html" / f"{path.stem}.html.gz"
        if not text or not source.is_file():
            continue
        html = gzip.decompress(source.read_bytes()).decode("utf-8", "replace")
        kind = record.get("_internal", {}).get("page_type", {}).get("primary") or gold.get("page_type") or "other"
        url = record.get("url") or gold.get("url") or ""
        pages.append(Page(path.stem, url, kind, html, text, _code(text, markdown, html), _rows(markdown)))
    return pages


def read_pairs(folder: Path) -> list[Pair]:
    """All pairs in the order of their names; none where the folder is missing."""
    pairs: list[Pair] = []
    for path in sorted((folder / "expected").glob("*.md")):
        source = folder / "fixtures" / f"{path.stem}.html"
        if not source.is_file():
            continue
        html = source.read_text(encoding="utf-8")
        front = re.match(r"```json\n(.*?)\n```\s*", (whole := path.read_text(encoding="utf-8")), re.DOTALL)
        markdown = whole[front.end() :] if front else whole
        title = json.loads(front[1]).get("title", "") if front else ""
        code = tuple(match[2] for match in _FENCE.finditer(markdown) if "\n" in match[2])
        prose = _FENCE.sub("", markdown)
        headings = tuple((len(match[1]), match[2]) for match in re.finditer(r"^(#{1,6}) +(.*)$", prose, re.MULTILINE))
        pairs.append(
            Pair(path.stem, f"https://example.com/{path.stem}", html, markdown, title, unmarked(markdown), code, _rows(prose), headings)
        )
    return pairs


def fingerprint(html: str) -> str:
    """The name under which the shipped model remembers a page that it was fitted on."""
    return hashlib.sha256(html.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def held_out(pages: Sequence[Page]) -> list[Page]:
    """Those that the shipped model was not fitted on."""
    fitted = fitted_pages()
    return [page for page in pages if fingerprint(page.html) not in fitted]


def unmarked(markdown: str) -> str:
    """The words of Markdown: link targets, images' addresses, footnote marks and emphasis taken out."""
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\]\((?:[^()\\]|\\.|\([^()]*\))*\)", "]", text)
    text = re.sub(r"\[\^[^\]]*\]:?", " ", text)
    text = re.sub(r"<[^<>\n]{1,300}>", " ", text)
    return re.sub(r"\\([\\`*_{}\[\]()#+\-.!|~<>])", r"\1", text).replace("**", "").replace("`", "")


def _code(text: str, markdown: str, html: str) -> tuple[str, ...]:
    fenced = [match[2] for match in _FENCE.finditer(markdown)]
    wanted = dict.fromkeys(fenced)
    wanted.update(
        dict.fromkeys(
            part for part in re.split(r"\n[ \t]*\n", text) if not _LISTED.match(part) and not any(part in code for code in fenced)
        )
    )
    candidates = [code for code in wanted if "\n" in code.strip("\n") and _INDENTED.search(code)]
    if not candidates:
        return ()
    lines = _BREAK.sub("\n", html.replace("\r\n", "\n"))
    kept = "\n".join(match[0] for match in _SPACED.finditer(lines))
    shown = _BREAK.sub("\n", " ".join(html.split()))
    source = entities.unescape(_TAG.sub("", f"{kept}\n{shown}")).replace("\xa0", " ")
    return tuple(code for code in candidates if code.replace("\xa0", " ") in source)


def _rows(markdown: str) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    for match in _ROW.finditer(_FENCE.sub("", markdown)):
        if not _RULE.fullmatch(match[0]):
            found.append(tuple(" ".join(re.findall(r"\w+", unmarked(cell).lower())) for cell in _CELL.split(match[1])))
    return tuple(row for row in found if any(row))
