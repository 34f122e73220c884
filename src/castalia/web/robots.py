"""robots.txt by RFC 9309, behind one small interface.

4xx means no rules; 5xx or unreachable means nothing may be fetched; only the first 500 KiB count. The matcher is
robotspy; what it doesn't read (Crawl-delay, `Content-Usage` of AIPREF) is read here.
"""

import re
from typing import NamedTuple

from robots import RobotsParser

MAX_BYTES = 500 * 1024
MAX_AGE_SECONDS = 24 * 3600
_LONGEST_DELAY = 60.0
_LINE = re.compile(r"^\s*(?P<name>[A-Za-z-]+)\s*:\s*(?P<value>[^#]*?)\s*(?:#.*)?$")


class RobotsAnswer(NamedTuple):
    """What fetching robots.txt gave; `status` 0 stands for unreachable, and `text` then says why."""

    status: int
    text: str


class Robots:
    """The rules of one host for one crawler."""

    def __init__(self, answer: RobotsAnswer, user_agent: str) -> None:
        token = re.match(r"[A-Za-z_-]+", user_agent)
        self._agent = token[0] if token else "*"
        self.unreachable = answer.status == 0 or answer.status >= 500
        self.trouble = (answer.text or f"status {answer.status}") if self.unreachable else ""
        text = answer.text.encode()[:MAX_BYTES].decode("utf-8", "ignore") if 200 <= answer.status < 300 else ""
        self._parser = RobotsParser.from_string(text)
        self.sitemaps: tuple[str, ...] = tuple(_values(text, "sitemap"))
        group = _group_lines(text, self._agent)
        self.crawl_delay = _delay(group)
        self._usage = [value for name, value in group if name == "content-usage"]

    def allows(self, url: str) -> bool:
        """Whether the crawler may fetch `url`."""
        return not self.unreachable and bool(self._parser.can_fetch(self._agent, url))

    def refuses_training(self, path: str) -> bool:
        """Whether a `Content-Usage` line that fits `path` says `train-ai=n` (AIPREF); the longest fitting path decides."""
        best = (-1, False)
        for value in self._usage:
            prefix, _, preferences = value.rpartition(" ") if value.startswith("/") else ("", "", value)
            if path.startswith(prefix.strip()):
                best = max(best, (len(prefix.strip()), refuses_ai_training(preferences)))
        return best[1]


def refuses_ai_training(preferences: str) -> bool:
    """Whether a `Content-Usage` value says no to training, e.g. `train-ai=n` (AIPREF vocabulary draft)."""
    refused = {part.replace(" ", "").lower() for part in preferences.split(",")}
    return bool(refused & {"train-ai=n", "train-genai=n", "ai=n", "bots=n"})


def _values(text: str, wanted: str) -> list[str]:
    lines = (_LINE.match(line) for line in text.splitlines())
    return [line["value"] for line in lines if line and line["name"].lower() == wanted and line["value"]]


def _group_lines(text: str, agent: str) -> list[tuple[str, str]]:
    """Lines of the groups for `agent`, or of the groups for everyone when none names it."""
    own: list[tuple[str, str]] = []
    common: list[tuple[str, str]] = []
    agents: list[str] = []
    in_rules = False
    named = False
    for raw in text.splitlines():
        line = _LINE.match(raw)
        if not line:
            continue
        name, value = line["name"].lower(), line["value"]
        if name == "user-agent":
            if in_rules:
                agents, in_rules = [], False
            agents.append(value.lower())
            named = named or value.lower() == agent.lower()
        elif name != "sitemap":
            in_rules = True
            if agent.lower() in agents:
                own.append((name, value))
            if "*" in agents:
                common.append((name, value))
    return own if named else common


def _delay(group: list[tuple[str, str]]) -> float:
    for name, value in group:
        if name == "crawl-delay" and re.fullmatch(r"\d+(?:\.\d+)?", value):
            return min(float(value), _LONGEST_DELAY)
    return 0.0
