"""Pages into which licence statements are planted by a seeded generator: real pages that state no licence of their own.

The statements are `data/licences/templates.jsonl`. In them `{url}`, `{long}`, `{short}`, `{spdx}` are those of a drawn licence, `{url2}`,
`{long2}`, `{short2}` those of another one, `{who}` and `{year}` a holder. `truth` is what a careful reader would say of the page's main
text: `page` (the drawn licence), an SPDX id, or null for none, for one of something else, and for statements that contradict each other.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

_TEMPLATES = Path(__file__).with_name("data") / "licences" / "templates.jsonl"
Where = Literal["head", "top", "middle", "end", "footer", "bottom", "aside", "comments"]

_KINDS = {
    "by": "Attribution",
    "by-sa": "Attribution-ShareAlike",
    "by-nc": "Attribution-NonCommercial",
    "by-nd": "Attribution-NoDerivatives",
    "by-nc-sa": "Attribution-NonCommercial-ShareAlike",
    "by-nc-nd": "Attribution-NonCommercial-NoDerivatives",
}
_VERSIONS = ("4.0", "4.0", "4.0", "3.0", "2.5", "2.0")
_HOLDERS = ("Ann Smith", "Blue Barn Press", "J. Ortega", "The Example Society", "mvd", "Kessler & Sons")
_RESERVES = re.compile(r"all\s+rights\s+(?:are\s+)?reserved", re.I)
_FORBIDS = re.compile(
    r"\bwithout\s+(?:the\s+)?(?:express\s+|prior\s+|written\s+)*(?:permission|approval|consent)|may not be|permission before", re.I
)


class Template(NamedTuple):
    """One statement. `words`: a reader sees it; a statement for machines only is not planted beside words that reserve all rights, and
    no licence is planted beside a ban on copying: what holds there is anybody's guess."""

    name: str
    where: tuple[Where, ...]
    html: str
    truth: str | None
    code: str | None = None
    words: bool = True


class Planted(NamedTuple):
    """A page with a statement in it. `truth` and `code` are the licences of its text and of its code, None for none."""

    template: str
    half: str
    where: Where
    host: str
    html: str
    truth: str | None
    code: str | None


class _Licence(NamedTuple):
    spdx: str
    url: str
    long: str
    short: str


def templates() -> list[Template]:
    """The statements of the data file."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in _TEMPLATES.read_text(encoding="utf-8").splitlines()]
    return [Template(row["name"], tuple(row["where"]), row["html"], row["truth"], row.get("code"), row.get("words", True)) for row in rows]


def half(name: str) -> str:
    """`shown` or `held`: by the hash of a name, so that a case stays on its side."""
    return "held" if hashlib.sha256(name.encode()).digest()[0] % 2 else "shown"


def plant(hosts: Sequence[tuple[str, str]], per_template: int, seed: int) -> Iterator[Planted]:
    """`per_template` pages for each template, from `hosts` (name and HTML of pages that state no licence), drawn by `seed`."""
    open_hosts = [host for host in hosts if not _FORBIDS.search(host[1])]
    quiet = [host for host in open_hosts if not _RESERVES.search(host[1])]
    for template in templates():
        draw = random.Random(f"{seed} {template.name}")
        for _ in range(per_template):
            name, html = draw.choice(quiet if not template.words else open_hosts if template.truth else hosts)
            where = draw.choice(template.where)
            first, second = _licence(draw), _licence(draw)
            while second.spdx == first.spdx:
                second = _licence(draw)
            values = {
                "url2": second.url,
                "long2": second.long,
                "short2": second.short,
                "who": draw.choice(_HOLDERS),
                "year": draw.randint(2005, 2025),
            }
            snippet = template.html.format(**first._asdict(), **values)
            truth = first.spdx if template.truth == "page" else template.truth
            yield Planted(template.name, half(template.name), where, name, insert(html, snippet, where, draw), truth, template.code)


def insert(html: str, snippet: str, where: Where, draw: random.Random) -> str:
    """`html` with `snippet` at a place of that kind, which is made when the page has none."""
    if where == "head":
        return _before(html, r"</head\s*>", snippet) or _after(html, r"<head\b[^>]*>", snippet) or snippet + html
    if where == "top":
        return _after(html, r"</h1\s*>", snippet) or _after(html, r"<body\b[^>]*>", snippet) or snippet + html
    if where == "middle":
        ends = [found.end() for found in re.finditer(r"</p\s*>", html, re.I)]
        ends = ends[len(ends) // 4 : 3 * len(ends) // 4 + 1]
        if ends:
            at = draw.choice(ends)
            return html[:at] + snippet + html[at:]
        return _after(html, r"<body\b[^>]*>", snippet) or snippet + html
    if where == "end":
        made = _before(html, r"</main\s*>", snippet, last=True) or _before(html, r"</article\s*>", snippet)
        return made or _before_body_end(html, f"<div>{snippet}</div>")
    if where == "footer":
        return _before(html, r"</footer\s*>", snippet, last=True) or _before_body_end(html, f"<footer>{snippet}</footer>")
    wrapped = {
        "bottom": '<div class="copyright">{}</div>',
        "aside": '<aside class="sidebar">{}</aside>',
        "comments": '<section id="comments"><h3>3 comments</h3><div class="comment"><b>guest</b> {}</div></section>',
    }[where]
    return _before_body_end(html, wrapped.replace("{}", snippet))


def _licence(draw: random.Random) -> _Licence:
    kind, version = draw.choice(list(_KINDS)), draw.choice(_VERSIONS)
    international = " International" if version == "4.0" else draw.choice(("", " Unported")) if version == "3.0" else ""
    spelling = draw.choice((f"CC {kind.upper()} {version}", f"CC-{kind.upper()}-{version}", f"CC {kind.upper()} {version}"))
    address = draw.choice(
        ("https://creativecommons.org", "http://creativecommons.org", "https://www.creativecommons.org", "//creativecommons.org")
    )
    return _Licence(
        spdx=f"CC-{kind.upper()}-{version}",
        url=f"{address}/licenses/{kind}/{version}/",
        long=f"Creative Commons {_KINDS[kind]} {version}{international}",
        short=spelling,
    )


def _before(html: str, pattern: str, snippet: str, *, last: bool = False) -> str | None:
    found = list(re.finditer(pattern, html, re.I))
    if not found:
        return None
    at = found[-1 if last else 0].start()
    return html[:at] + snippet + html[at:]


def _after(html: str, pattern: str, snippet: str) -> str | None:
    found = re.search(pattern, html, re.I)
    return html[: found.end()] + snippet + html[found.end() :] if found else None


def _before_body_end(html: str, snippet: str) -> str:
    return _before(html, r"</body\s*>", snippet, last=True) or html + snippet
