"""robots.txt: own cases from the text of RFC 9309, and every file of a public collection read without a crash or a delay."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.environments import NoEnvironment, require
from castalia.web.robots import Robots, RobotsAnswer

AGENT = "castalia/0.1"
SLOW_SECONDS = 1.0
PROTEGO_SECONDS = 300.0
_MOST_URLS = 20


class Case(NamedTuple):
    """Whether `path` may be fetched under `text`, answered with `status`."""

    text: str
    path: str
    allowed: bool
    status: int = 200


def _all(rules: str) -> str:
    return f"User-agent: *\n{rules}\n"


_ORDER = _all("Disallow: /\nAllow: /p\nDisallow: /p/q\nAllow: /p/q/r")
_GROUPS = "User-agent: a\nUser-agent: castalia\nDisallow: /x\n\nUser-agent: *\nDisallow: /y\n\nUser-agent: CASTALIA\nDisallow: /z\n"

CASES = (
    # 2.2.1: groups; a product token matches without regard to case, and all groups for it are one
    Case(_GROUPS, "/x", False),
    Case(_GROUPS, "/y", True),
    Case(_GROUPS, "/z", False),
    Case("User-agent: castalia/2.0\nDisallow: /", "/", False),
    Case("User-agent: castaliabot\nDisallow: /", "/", True),
    Case("User-agent: cast\nDisallow: /", "/", True),
    Case("User-agent: other\nDisallow: /", "/", True),
    Case("User-agent: castalia\n\nUser-agent: other\nDisallow: /", "/", False),
    Case("User-agent: castalia\nCrawl-delay: 3\nUser-agent: other\nDisallow: /x", "/x", False),
    Case("Disallow: /\nUser-agent: *\nDisallow: /x", "/y", True),
    Case("User-agent: *\nSitemap: http://h/s.xml\nDisallow: /x", "/x", False),
    Case("User-agent: *\nDisallow: /x\nSitemap: http://h/s.xml\nDisallow: /y", "/y", False),
    Case("User-agent: * # everyone\nDisallow: /x # not here", "/x", False),
    Case("user-AGENT:*\ndisALLOW:/x", "/x", False),
    # 2.2.2: the most octets win, and allow among equals
    Case(_ORDER, "/a", False),
    Case(_ORDER, "/p", True),
    Case(_ORDER, "/p/q", False),
    Case(_ORDER, "/p/q/r", True),
    Case(_all("Disallow: /x\nAllow: /x"), "/x", True),
    Case(_all("Allow: /x\nDisallow: /x"), "/x", True),
    Case(_all("Disallow: /x*\nAllow: /x"), "/x1", False),
    Case(_all("Disallow:"), "/x", True),
    Case(_all("Allow:\nDisallow: /"), "/x", False),
    Case(_all("Disallow: /Path"), "/path", True),
    Case(_all("Disallow: /x"), "/xyz", False),
    Case(_all("Disallow: /x/"), "/x", True),
    Case(_all("Disallow: /x?id="), "/x?id=3", False),
    Case(_all("Disallow: /x?id="), "/xaid=3", True),
    Case(_all("Disallow: /x.y"), "/xay", True),
    Case(_all("Disallow: /a[bc]d"), "/abd", True),
    Case(_all("Disallow: /a[bc]d"), "/a[bc]d", False),
    # 2.2.2: octets are compared encoded, with capitals, unreserved ones as they are
    Case(_all("Disallow: /caf%C3%A9"), "/café", False),
    Case(_all("Disallow: /café"), "/caf%c3%a9", False),
    Case(_all("Disallow: /%7Euser"), "/~user", False),
    Case(_all("Disallow: /a%2Fb"), "/a/b", True),
    Case(_all("Disallow: /a%2fb"), "/a%2Fb", False),
    Case(_all("Disallow: /100%"), "/100%25", False),
    # 2.2.3: special characters
    Case(_all("Disallow: *.gif$"), "/a.gif", False),
    Case(_all("Disallow: *.gif$"), "/a.gif?x", True),
    Case(_all("Disallow: /*/x/*.html"), "/a/b/x/y.html", False),
    Case(_all("Disallow: /*/x/*.html"), "/x/y.html", True),
    Case(_all("Disallow: /x$"), "/x", False),
    Case(_all("Disallow: /x$"), "/xy", True),
    Case(_all("Disallow: /*"), "/", False),
    Case(_all("Disallow: /a***b"), "/axxb", False),
    Case(_all("Disallow: /a%2Ab"), "/axb", True),
    Case(_all("Disallow: /a%2Ab"), "/a*b", False),
    Case(_all("Disallow: /a$b"), "/a$b", False),
    Case(_all("Disallow: /a*b$"), "/ab", False),
    Case(_all("Disallow: /ab*b$"), "/ab", True),
    # robots.txt itself
    Case(_all("Disallow: /"), "/robots.txt", True),
    # lines: any end of line, a byte order mark, missing colons, misspellings, blank lines inside a group
    Case("User-agent: *\rDisallow: /x\r", "/x", False),
    Case("User-agent: *\r\nDisallow: /x\r\n", "/x", False),
    Case("\ufeffUser-agent: *\nDisallow: /x", "/x", False),
    Case("User-agent *\nDisallow /x", "/x", False),
    Case("User-agent: *\n\n\nDisallow: /x", "/x", False),
    Case("User-agent: *\nDissalow: /x", "/x", False),
    Case("  User-agent :  *  \n\tDisallow\t:\t/x\t", "/x", False),
    Case("User-agent: *\nDisallow: /x y", "/x%20y", False),
    Case("<html><body>Disallow: /</body></html>", "/", True),
    Case("", "/", True),
    Case("\0\0\0\0", "/", True),
    # 2.3.1: the result of the access
    Case(_all("Disallow: /"), "/", True, 404),
    Case(_all("Disallow: /"), "/", True, 403),
    Case(_all("Disallow: /"), "/", True, 410),
    Case(_all("Allow: /"), "/", False, 500),
    Case(_all("Allow: /"), "/", False, 503),
    Case("timeout", "/", False, 0),
    # 2.5: 500 KiB are read
    Case(_all("# filler\n" * 54_000 + "Disallow: /x"), "/x", False),
    Case(_all("# filler\n" * 60_000 + "Disallow: /x"), "/x", True),
)
HOSTILE = (
    "User-agent: " + "a" * 500_000 + "]",
    _all("Disallow: /" + "*a" * 8_000 + "b"),
    _all("\n".join(f"Disallow: /x{number}*y*z" for number in range(20_000))),
    "\r" * 500_000,
    ":" * 500_000,
    "User-agent:" * 45_000,
    _all("Disallow: /" + "%" * 400_000),
    _all("\n".join("Disallow: /" + "*" * 400 for _ in range(1000))),
    "User-agent: *\n" * 35_000,
    "\ud800 User-agent: *\nDisallow: /x\udfff",
)


def measure(files: Path | None, nulls: dict[str, str], most: int | None) -> dict[str, Any]:
    """Own cases answered wrongly; files, hostile ones included, that raise or take longer than a second."""
    broken, slowest = 0, 0.0
    for text in HOSTILE:
        seconds = _seconds(text)
        broken += seconds is None or seconds > SLOW_SECONDS
        slowest = max(slowest, seconds or 0.0)
    figures: dict[str, Any] = {
        "robots_cases": len(CASES),
        "robots_wrong": len(wrong()),
        "robots_crashes": None,
        "robots_files": None,
    }
    if files is None or not files.is_dir():
        nulls["robots_crashes"] = nulls["robots_files"] = "the public files are not here: --gold DIR with robots/"
        return figures
    paths = sorted(path for path in files.rglob("*") if path.is_file())
    paths = paths if most is None else paths[:: max(1, len(paths) // most)]
    texts = [path.read_bytes().decode("utf-8", "replace") for path in paths]
    for text in texts:
        seconds = _seconds(text)
        broken += seconds is None or seconds > SLOW_SECONDS
        slowest = max(slowest, seconds or 0.0)
    figures |= {"robots_crashes": broken, "robots_files": len(paths), "robots_slowest_ms": 1000 * slowest}
    figures["robots_like_protego"] = _like_protego(texts, nulls)
    return figures


def wrong() -> list[Case]:
    """The cases answered wrongly, for a look."""
    return [case for case in CASES if Robots(RobotsAnswer(case.status, case.text), AGENT).allows(f"http://h{case.path}") != case.allowed]


def _seconds(text: str) -> float | None:
    """CPU seconds to read a file and answer some questions about it; None when that raised."""
    begun = time.process_time()
    try:
        rules = Robots(RobotsAnswer(200, text), AGENT)
        for url in _urls(text):
            rules.allows(url)
            rules.refuses_training(url)
    except Exception:  # noqa: BLE001 - any exception is the finding
        return None
    return time.process_time() - begun


def _urls(text: str) -> list[str]:
    """Some URLs that the rules speak about, and some they don't."""
    paths = re.findall(r"(?im)^\s*(?:dis)?allow\s*:\s*(/[!-~]{0,100})", text)[: _MOST_URLS - 3]
    return [f"http://h{path.replace('*', 'x').rstrip('$')}" for path in ("/", "/index.html", "/a/b/c?d=e", *paths)]


def _like_protego(texts: Sequence[str], nulls: dict[str, str]) -> float | None:
    """The share of questions that Protego, Scrapy's parser, answers as we do."""
    try:
        python = require("protego", ["protego==0.7.0"])
        asked = [(text, "castalia", _urls(text)) for text in texts]
        theirs = _protego_says(python, asked)
    except (NoEnvironment, subprocess.SubprocessError) as reason:
        nulls["robots_like_protego"] = f"Protego: {reason}"
        return None
    same = total = 0
    for (text, _, urls), answers in zip(asked, theirs, strict=True):
        ours = Robots(RobotsAnswer(200, text), AGENT)
        same += sum(ours.allows(url) == answer for url, answer in zip(urls, answers, strict=True))
        total += len(urls)
    return same / total if total else None


def _protego_says(python: Path, asked: Sequence[tuple[str, str, list[str]]]) -> list[list[bool]]:
    """One answer per URL of each file."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(asked), encoding="utf-8")
        script = Path(__file__).parent / "peers" / "robots_files.py"
        subprocess.run([python, script, request, answer], capture_output=True, check=True, timeout=PROTEGO_SECONDS)
        return json.loads(answer.read_text(encoding="utf-8"))
