"""robots.txt by RFC 9309, with the lines it leaves to others: Crawl-delay, Sitemap, and preferences about AI.

4xx means no rules; 5xx or unreachable means nothing may be fetched; only the first 500 KiB count. Reading is one pass and
matching needs no regular expression, so that no file takes long, whatever it holds. Lines are read as Google's published
reference does: typing errors in `disallow` count, unknown lines don't end a group, product tokens match without their version.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ada_url import URL

MAX_BYTES = 500 * 1024
MAX_AGE_SECONDS = 24 * 3600
_LONGEST_DELAY = 60.0
_LONGEST_LINE = 16_000
_TOKEN = re.compile(r"[A-Za-z_-]+")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_SPECIAL = re.compile(r"[^!-~]|[%$]")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEYS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), "user-agent"),
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    **dict.fromkeys(("sitemap", "site-map"), "sitemap"),
    **{name: name for name in ("allow", "crawl-delay", "content-usage", "content-signal")},
}
_REFUSED = frozenset({"n", "no", "0", "?0", "false"})
_TRAINING = frozenset({"train-ai", "train-genai", "ai-train", "ai", "bots", "tdm"})


class RobotsAnswer(NamedTuple):
    """What fetching robots.txt gave; `status` 0 stands for unreachable, and `text` then says why."""

    status: int
    text: str


class Rule(NamedTuple):
    """A path pattern: `pieces` must occur in this order, the first one at the start, the last one at the end if `anchored`."""

    pieces: tuple[str, ...]
    anchored: bool
    length: int
    value: bool

    def fits(self, path: str) -> bool:
        """Whether the pattern matches a normalized path."""
        return pieces_fit(self.pieces, path, anchored=self.anchored)


def pieces_fit(pieces: Sequence[str], path: str, *, anchored: bool) -> bool:
    """Whether `path` holds the pieces of a pattern in their order, found one by one, so that no pattern takes long."""
    first, *others = pieces
    if not path.startswith(first):
        return False
    if not others:
        return not anchored or len(path) == len(first)
    place = len(first)
    for piece in others[:-1]:
        found = path.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    last = others[-1]
    return len(path) - len(last) >= place and path.endswith(last) if anchored else path.find(last, place) >= 0


class Robots:
    """The rules of one host for one crawler. `ai_rules` are those of an `ai.txt` read the same way."""

    def __init__(self, answer: RobotsAnswer, user_agent: str) -> None:
        token = _TOKEN.match(user_agent)
        self._agent = token[0].lower() if token else "*"
        self.status = answer.status
        self.unreachable = answer.status == 0 or answer.status >= 500
        self.trouble = (answer.text or f"status {answer.status}") if self.unreachable else ""
        text = answer.text.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore") if 200 <= answer.status < 300 else ""
        lines = list(_lines(text))
        self.sitemaps: tuple[str, ...] = tuple(value for key, value in lines if key == "sitemap" and value)
        group = _group(lines, self._agent)
        self.crawl_delay = _delay(group)
        self._rules = _sorted(rule for key, value in group if key in ("allow", "disallow") and (rule := _rule(value, key == "allow")))
        self._usage = _sorted(rule for key, value in group if key.startswith("content-") and (rule := _usage_rule(value)))

    def allows(self, url: str) -> bool:
        """Whether the crawler may fetch `url`. robots.txt itself may always be read."""
        if self.unreachable:
            return False
        path = _path_of(url)
        rule = next((rule for rule in self._rules if rule.fits(path)), None)
        return rule is None or rule.value or path == "/robots.txt"

    def refuses_training(self, url: str) -> bool:
        """Whether the longest fitting `Content-Usage` (AIPREF) or `Content-Signal` line says no to training."""
        path = _path_of(url)
        rule = next((rule for rule in self._usage if rule.fits(path)), None)
        return rule is not None and rule.value


def refuses_ai_training(preferences: str) -> bool:
    """Whether a `Content-Usage` value says no to training, e.g. `train-ai=n` (AIPREF vocabulary draft)."""
    for item in preferences.lower().split(","):
        key, _, value = item.partition(";")[0].partition("=")
        if key.strip() in _TRAINING and value.strip().strip('"') in _REFUSED:
            return True
    return False


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(known key, value) of every line that has one."""
    for line in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        line = line[:_LONGEST_LINE].partition("#")[0].strip()
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon:  # "Disallow /x": the colon may be missing when two words stand there
            name, _, value = line.partition(" ")
            if len(value.split()) != 1:
                continue
        key = _KEYS.get(name.strip().lower())
        if key:
            yield key, value.strip()


def _group(lines: Sequence[tuple[str, str]], agent: str) -> list[tuple[str, str]]:
    """Lines of all groups for `agent`, or of the groups for everyone when none names it."""
    own: list[tuple[str, str]] = []
    common: list[tuple[str, str]] = []
    agents: set[str] = set()
    in_rules = named = False
    for key, value in lines:
        if key == "user-agent":
            if in_rules:
                agents, in_rules = set[str](), False
            token = _TOKEN.match(value)
            name = "*" if value == "*" or value.startswith("* ") else token[0].lower() if token else ""
            agents.add(name)
            named = named or name == agent
        elif key != "sitemap":
            in_rules = in_rules or key in ("allow", "disallow")
            if agent in agents:
                own.append((key, value))
            if "*" in agents:
                common.append((key, value))
    return own if named else common


def _rule(pattern: str, value: bool) -> Rule | None:
    """The rule of a pattern; None for an empty one, which says nothing. Patterns of ai.txt may start with a star."""
    if not pattern:
        return None
    anchored = pattern.endswith("$")
    pieces = tuple(_normal(piece) for piece in pattern.removesuffix("$").split("*"))
    return Rule(pieces, anchored, len(pattern), value)


def _usage_rule(value: str) -> Rule | None:
    path, _, preferences = value.partition(" ") if value.startswith("/") else ("/", "", value)
    return _rule(path, refuses_ai_training(preferences))


def _sorted(rules: Iterator[Rule]) -> list[Rule]:
    """The longest first; among equals the one that allows, or refuses training."""
    return sorted(rules, key=lambda rule: (-rule.length, not rule.value))


def _path_of(url: str) -> str:
    """Path and query, as they are compared. A star or a dollar sign in a URL is an ordinary character."""
    parsed = URL(url)
    search = parsed.search or ("?" if parsed.href.partition("#")[0].endswith("?") else "")
    return _normal((parsed.pathname or "/") + search).replace("*", "%2A")


def _normal(path: str) -> str:
    """One spelling of every octet (RFC 9309 2.2.2): unreserved ones as they are, encoded ones in capitals, others encoded."""
    if not _SPECIAL.search(path):
        return path
    out: list[str] = []
    data = path.encode("utf-8", "surrogatepass")
    place = 0
    while place < len(data):
        octet = data[place]
        if octet == 0x25 and (pair := data[place + 1 : place + 3]) and len(pair) == 2 and pair.isalnum() and _is_hex(pair):
            decoded = int(pair, 16)
            out.append(chr(decoded) if decoded in _UNRESERVED else f"%{decoded:02X}")
            place += 3
            continue
        out.append(f"%{octet:02X}" if octet > 0x7E or octet < 0x21 or octet == 0x24 else chr(octet))
        place += 1
    return "".join(out)


def _is_hex(pair: bytes) -> bool:
    return all(octet in b"0123456789abcdefABCDEF" for octet in pair)


def _delay(group: Sequence[tuple[str, str]]) -> float:
    """Seconds; several lines count as the longest, an absurd one as a minute."""
    return max(
        (min(float(value), _LONGEST_DELAY) for key, value in group if key == "crawl-delay" and _NUMBER.fullmatch(value)), default=0.0
    )
