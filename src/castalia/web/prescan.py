"""A linear look at HTML before any parser sees it: size, nesting, attributes.

HTML parsers are quadratic on some small inputs (thousands of nested formatting elements, 200,000 attributes on one tag). A rough pass
over all tags at once clears nearly all pages in less than a millisecond; only what looks suspicious in it is read token by token, with
possessive quantifiers, so that nothing backtracks.
"""

import re
from typing import NamedTuple

import numpy as np

from castalia.web.tags import Tags, find_tags, short_names

MAX_CHARACTERS = 8_000_000
MAX_TAGS = 400_000
MAX_OPENINGS = 4 * MAX_TAGS
"""Of `<`, whatever follows: with an end tag for each tag half of them would be tags."""
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
_LONGEST_TAG = 2 * MAX_ATTRIBUTES
"""Characters of a tag that surely has no more attributes than are parsed."""
_ATTRIBUTE = re.compile(r"""[^\s=/]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s]++))?+""")
_VOID = word_set("area base br col embed hr img input link meta param source track wbr")
# Elements whose end tag may be left out: counting them as depth would reject old but harmless pages.
_OPTIONAL_END = word_set("p li dt dd tr td th thead tbody tfoot option optgroup colgroup rt rp html head body")
_FLAT = short_names(_VOID | _OPTIONAL_END)
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
    tags: Tags | None = None
    """Every `<` of the source, where there are not too many to tell."""


def prescan(html: str) -> Scan:
    """Why `html` must not reach a parser: `too-large`, `too-many-tags`, `attribute-flood` or `too-deep`; empty when it may."""
    if len(html) > MAX_CHARACTERS:
        return Scan("too-large", f"{len(html)} characters, at most {MAX_CHARACTERS} are parsed")
    if html.count("<") > MAX_OPENINGS:
        return Scan("too-many-tags", f"more than {MAX_OPENINGS} times `<`")
    tags = find_tags(html, MAX_TAGS)
    if tags is None or _may_flood(html, tags) or _rough_depth(tags) > MAX_DEPTH:
        return _read(html, None)._replace(tags=tags)
    return Scan("", "", tags)


def start_tags(html: str) -> tuple[StartTag, ...]:
    """Every start tag with its character offset; tags in comments, scripts and attributes are none."""
    tags: list[StartTag] = []
    _read(html, tags)
    return tuple(tags)


def _may_flood(html: str, tags: Tags) -> bool:
    """Whether a tag may have more attributes than are parsed: they are set apart by spaces, slashes or the quotes of the one before."""
    lengths = np.diff(tags.starts, append=len(html))
    for number in np.flatnonzero(lengths > _LONGEST_TAG).tolist():
        piece = html[tags.starts[number] + 1 : tags.starts[number] + lengths[number]]
        if 0 <= piece.find(">") <= _LONGEST_TAG or not (piece[0].isalpha() and piece[0].isascii()):
            continue
        if len(piece.split(None, MAX_ATTRIBUTES)) + piece.count("/") + piece.count('"') // 2 + piece.count("'") // 2 >= MAX_ATTRIBUTES:
            return True
    return False


def _rough_depth(tags: Tags) -> int:
    """Depth by counting start and end tags, those in scripts and attributes included: a suspicion, no verdict."""
    first_letter = tags.names[:, 0] & np.uint64(255)
    is_flat = (first_letter < ord("a")) | (first_letter > ord("z")) | tags.short(_FLAT)
    depths = np.cumsum(np.where(is_flat, 0, np.where(tags.closing, -1, 1)))
    # End tags that close nothing must not hide the nesting after them, so depth counts from its lowest point.
    return int((depths - np.minimum.accumulate(np.minimum(depths, 0))).max(initial=0))


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
