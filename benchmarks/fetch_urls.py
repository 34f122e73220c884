"""URL identity: spellings that are one page, pages that are not one, and the cases of the WHATWG URL standard."""

import json
from pathlib import Path
from typing import Any

from castalia.web.urls import canonical_url, url_key

SAME = (
    ("http://example.com/a", "https://example.com/a"),
    ("http://example.com/a", "http://example.com:80/a"),
    ("https://example.com/a", "https://example.com:443/a"),
    ("http://example.com/a", "http://www.example.com/a"),
    ("http://example.com/a", "HTTP://EXAMPLE.com/a"),
    ("http://example.com/a", "http://example.com/a/"),
    ("http://example.com/a", "http://example.com/a#part"),
    ("http://example.com/a", "http://example.com/b/../a"),
    ("http://example.com/a", "http://example.com/./a"),
    ("http://example.com/a", "http://example.com//a"),
    ("http://example.com/a", "http://example.com/a/index.html"),
    ("http://example.com/a/", "http://example.com/a/index.php"),
    ("http://example.com/", "http://example.com/default.aspx"),
    ("http://example.com/a", "http://m.example.com/a"),
    ("http://example.com/a", "https://amp.example.com/a"),
    ("http://example.com/a", "http://example.com/a/amp/"),
    ("http://example.com/a", "http://example.com/a?amp=1"),
    ("http://example.com/a", "http://example.com/a?utm_source=x&utm_medium=y"),
    ("http://example.com/a?id=1", "http://example.com/a?utm_campaign=z&id=1"),
    ("http://example.com/a?id=1", "http://example.com/a?id=1&fbclid=Iw0"),
    ("http://example.com/a?id=1", "http://example.com/a?gclid=Cj0&id=1"),
    ("http://example.com/a?id=1", "http://example.com/a?id=1&mc_eid=deadbeef"),
    ("http://example.com/a?a=1&b=2", "http://example.com/a?b=2&a=1"),
    ("http://example.com/a", "http://example.com/a?"),
    ("http://example.com/a", "http://example.com/a;jsessionid=0A1B2C3D4E5F"),
    ("http://example.com/a?id=1", "http://example.com/a?id=1&PHPSESSID=0123456789abcdef"),
    ("http://example.com/~user", "http://example.com/%7Euser"),
    ("http://example.com/%c3%a9", "http://example.com/é"),
    ("http://example.com/%C3%A9", "http://example.com/%c3%a9"),
    ("http://xn--bcher-kva.example/", "http://bücher.example/"),
    ("http://example.com./a", "http://example.com/a"),
    ("http://example.com/a b", "http://example.com/a%20b"),
    ("http://2130706433/", "http://127.0.0.1/"),
    ("http://www2.example.co.uk/a", "http://example.co.uk/a"),
)
DIFFERENT = (
    ("http://example.com/a", "http://example.com/b"),
    ("http://example.com/a", "http://example.com/A"),
    ("http://example.com/a?id=1", "http://example.com/a?id=2"),
    ("http://example.com/a?id=1", "http://example.com/a"),
    ("http://example.com/a?page=2", "http://example.com/a"),
    ("http://example.com/a?sid=3", "http://example.com/a?sid=4"),
    ("http://example.com/a?ref=v1.2", "http://example.com/a?ref=v1.3"),
    ("http://example.com/a?source=code", "http://example.com/a"),
    ("http://docs.example.com/a", "http://example.com/a"),
    ("http://example.com/a", "http://example.org/a"),
    ("http://example.com:8080/a", "http://example.com/a"),
    ("http://example.com:8080/a", "http://example.com:8081/a"),
    ("http://one.github.io/a", "http://two.github.io/a"),
    ("http://www.github.io/a", "http://m.github.io/a"),
    ("http://m.com/a", "http://n.com/a"),
    ("http://www.com/", "http://com.com/"),
    ("http://example.com/index", "http://example.com/"),
    ("http://example.com/a/index.html?p=1", "http://example.com/a/index.html?p=2"),
    ("http://example.com/ampere", "http://example.com/"),
    ("http://example.com/a?stamp=1", "http://example.com/a"),
    ("http://example.com/a?x=camp=1", "http://example.com/a?x=c"),
    ("http://example.com/a%2Fb", "http://example.com/a/b"),
    ("http://example.com/a?q=a%26b", "http://example.com/a?q=a&b"),
    ("http://example.com/a;v=1", "http://example.com/a;v=2"),
    ("http://example.com/#!/a", "http://example.com/b"),
    ("http://127.0.0.1/", "http://127.0.0.2/"),
    ("http://[::1]/", "http://[::2]/"),
    ("http://mobile.example.com.evil.test/a", "http://example.com/a"),
    ("http://exаmple.com/a", "http://example.com/a"),  # a Cyrillic a
)


def measure(gold: Path | None, nulls: dict[str, str]) -> dict[str, Any]:
    """Pairs judged wrongly, and standard cases whose canonical form or key changes when it is taken again."""
    figures: dict[str, Any] = {
        "url_missed_merges": sum(url_key(one) != url_key(other) for one, other in SAME),
        "url_wrong_merges": sum(url_key(one) == url_key(other) for one, other in DIFFERENT),
        "url_not_idempotent": None,
    }
    path = gold / "urltestdata.json" if gold else None
    if path is None or not path.is_file():
        nulls["url_not_idempotent"] = "the cases of the URL standard are not here: --gold DIR with url/urltestdata.json"
        return figures
    cases: list[dict[str, Any]] = [case for case in json.loads(path.read_text(encoding="utf-8")) if isinstance(case, dict)]
    figures["url_cases"] = len(cases)
    figures["url_not_idempotent"] = sum(not _idempotent(case["input"], case.get("base")) for case in cases)
    return figures


def _idempotent(url: str, base: str | None) -> bool:
    canonical = canonical_url(url, base)
    if canonical is None:
        return True
    again = canonical_url(canonical)
    return again == canonical and (base is not None or url_key(url) == url_key(canonical))


def wrong() -> list[tuple[str, str]]:
    """The pairs judged wrongly, for a look."""
    return [pair for pair in SAME if url_key(pair[0]) != url_key(pair[1])] + [
        pair for pair in DIFFERENT if url_key(pair[0]) == url_key(pair[1])
    ]
