"""A linear look at HTML before any parser sees it: size, nesting, attributes.

HTML parsers are quadratic on some small inputs (thousands of nested formatting elements, 200,000 attributes on one tag). A rough pass
that runs in C clears nearly all pages in about a millisecond; only what looks suspicious in it is read token by token, with possessive
quantifiers, so that nothing backtracks.
"""

import re
from itertools import accumulate
from operator import sub
from typing import NamedTuple

MAX_CHARACTERS = 8_000_000
MAX_TAGS = 400_000
MAX_DEPTH = 512  # the depth at which browsers start to flatten
MAX_ATTRIBUTES = 1_000


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for tables of names."""
    return frozenset(words.split())


_VALUES = r"""(?:[^>=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|=)*+"""
_TOKEN = re.compile(
    r"<!--(?:.*?-->|.*+)"
    r"|<(?P<raw>script|style|textarea|title|xmp|iframe|noembed|noframes)\b(?P<rawrest>" + _VALUES + r")>"
    r"|<(?P<close>/?)(?P<tag>[a-z][^\s/>]*+)(?P<rest>" + _VALUES + r")>",
    re.IGNORECASE | re.DOTALL,
)
_OPENS_TAG = re.compile(r"</?[A-Za-z]")
_NAME = re.compile(r"<(/?[a-zA-Z][^\s/>]*)")
_LONGEST_TAG = 2 * MAX_ATTRIBUTES
"""Characters of a tag that surely has no more attributes than are parsed."""
_ATTRIBUTE = re.compile(r"""[^\s=/]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s]++))?+""")
_VOID = word_set("area base br col embed hr img input link meta param source track wbr")
# Elements whose end tag may be left out: counting them as depth would reject old but harmless pages.
_OPTIONAL_END = word_set("p li dt dd tr td th thead tbody tfoot option optgroup colgroup rt rp html head body")
# Start tags that end an open paragraph (HTML standard, "in body"): a later `</p>` then makes an empty paragraph.
_ENDS_PARAGRAPH = word_set(
    "address article aside blockquote center details dialog dir div dl dd dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul xmp"
)


class StartTag(NamedTuple):
    """A start tag in the source, or an end tag `</p>` that makes a paragraph of its own."""

    name: str
    offset: int


class Scan(NamedTuple):
    """What was seen. `problem` is a reason code, or empty when the page may be parsed."""

    problem: str
    detail: str


def prescan(html: str) -> Scan:
    """Why `html` must not reach a parser: `too-large`, `too-many-tags`, `attribute-flood` or `too-deep`; empty when it may."""
    if len(html) > MAX_CHARACTERS:
        return Scan("too-large", f"{len(html)} characters, at most {MAX_CHARACTERS} are parsed")
    pieces = html.split("<")
    if len(pieces) > MAX_TAGS or any(_may_flood(piece) for piece in pieces if len(piece) > _LONGEST_TAG) or _rough_depth(html) > MAX_DEPTH:
        return _read(html, None)
    return Scan("", "")


def start_tags(html: str) -> tuple[StartTag, ...]:
    """Every start tag with its character offset; tags in comments, scripts and attributes are none."""
    tags: list[StartTag] = []
    _read(html, tags)
    return tuple(tags)


class _Steps(dict[str, int]):
    """How each tag changes the depth."""

    def __missing__(self, name: str) -> int:
        plain = name.lower()
        flat = plain.lstrip("/")
        self[name] = step = 0 if flat in _VOID or flat in _OPTIONAL_END else -1 if plain[0] == "/" else 1
        return step


_STEPS = _Steps()


def _may_flood(piece: str) -> bool:
    end = piece.find(">")
    if 0 <= end <= _LONGEST_TAG or not (piece[0].isalpha() and piece[0].isascii()):
        return False
    # Attributes are set apart by spaces, slashes or the quotes of the one before.
    return len(piece.split(None, MAX_ATTRIBUTES)) + piece.count("/") + piece.count('"') // 2 + piece.count("'") // 2 >= MAX_ATTRIBUTES


def _rough_depth(html: str) -> int:
    """Depth by counting start and end tags, those in scripts and attributes included: a suspicion, no verdict."""
    if len(_STEPS) > 10_000:
        _STEPS.clear()
    depths = list(accumulate(map(_STEPS.__getitem__, _NAME.findall(html))))
    # End tags that close nothing must not hide the nesting after them, so depth counts from its lowest point.
    return max(map(sub, depths, accumulate(depths, min, initial=0)), default=0)


def _read(html: str, tags: list[StartTag] | None) -> Scan:
    """The verdict token by token; start tags are noted in `tags` where it is given."""
    depth = count = 0
    in_paragraph = False
    position = html.find("<")
    while position != -1:
        token = _TOKEN.match(html, position)
        if token is None:
            if _OPENS_TAG.match(html, position):
                break  # the source ends inside a tag, which parsers drop; going on would look at the rest again and again
            position = html.find("<", position + 1)
            continue
        end = token.end()
        if token["raw"]:
            name = token["raw"].lower()
            count += 1
            if tags is not None:
                tags.append(StartTag(name, position))
            closing = re.compile(rf"</{name}", re.IGNORECASE).search(html, end)
            end = closing.start() if closing else len(html)
        elif token["tag"]:
            name = token["tag"].lower()
            if token["close"]:
                if name == "p" and not in_paragraph and tags is not None:
                    tags.append(StartTag("p", position))
                in_paragraph = in_paragraph and name not in _ENDS_PARAGRAPH
                depth -= name not in _VOID and name not in _OPTIONAL_END and depth > 0
            else:
                count += 1
                if tags is not None:
                    tags.append(StartTag(name, position))
                in_paragraph = name == "p" or (in_paragraph and name not in _ENDS_PARAGRAPH)
                attributes = _count_attributes(token["rest"])
                if attributes > MAX_ATTRIBUTES:
                    return Scan("attribute-flood", f"<{name[:20]}> has {attributes} attributes, at most {MAX_ATTRIBUTES} are parsed")
                depth += name not in _VOID and name not in _OPTIONAL_END and not token["rest"].endswith("/")
            if depth > MAX_DEPTH:
                return Scan("too-deep", f"elements are nested more than {MAX_DEPTH} deep")
            if count > MAX_TAGS:
                return Scan("too-many-tags", f"more than {MAX_TAGS} tags")
        position = html.find("<", end)
    return Scan("", "")


def _count_attributes(rest: str) -> int:
    if len(rest) < 2 * MAX_ATTRIBUTES:  # an attribute takes two characters at least
        return 0
    return sum(1 for _ in _ATTRIBUTE.finditer(rest))
