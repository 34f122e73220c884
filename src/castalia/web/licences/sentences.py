"""What a sentence licenses: the subject of the grant, whether it is one at all, and what it leaves out.

English in the main, with the standard sentences of the Creative Commons chooser in German, French and Spanish. A sentence that can't be
read says nothing.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from castalia.web.licences.names import PUBLIC_DOMAIN, SOME_COMMONS, Mention, family, is_family, is_grant, licence_of_url, mentions

Link = Sequence[str | int | bool]


class Reading(NamedTuple):
    """A licence named in a sentence. `scope` is None where the words don't say what is covered, and `guessed` where it follows from how the
    sentence is built; `near`: the words point at what they stand on (`this`, `our`). `exceptions` are the words that limit the grant."""

    spdx: str
    scope: str | None
    sentence: str
    link: str = ""
    exceptions: str = ""
    rel: bool = False
    joined: str = ""
    near: bool = False
    guessed: bool = False


_BREAK = re.compile(
    r"(?<!\s[A-Z]\.)(?<!\.[A-Z]\.)(?<!\bDr\.)(?<!\bvs\.)(?<!\bcf\.)(?<!\bno\.)(?<!\bvol\.)(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“(\[]?[A-Z0-9©À-Þ])|\n+|\s+[|·•]\s+",
)
_CLAUSE = re.compile(
    r";\s+|,?\s+(?:and|while|but|whereas|und|et|y)\s+(?=(?:all |any |its |the |our )?[\w\s-]{0,30}?\b(?:code|samples?|snippets?|photos?|"
    r"photographs|images?|"
    r"pictures|videos?|comments|data|icons|music|audio|software|examples)\b[^,;]{0,50}(?:\b(?:is|are|under|available|released|licen\w+)\b|"
    r"©|:))"
    r"|,\s+(?=(?:the )?(?:training |source )?code\b|tiles\b|icons\b|fonts?\b|photos?\b|images?\b)",
    re.IGNORECASE,
)
_EXCEPTION = re.compile(
    r"\b(?:(?:except|unless|save) (?:where |when |as |if )?(?:otherwise |expressly |specifically |explicitly |differently )*"
    r"(?:otherwise|noted|stated|indicated|specified|marked|expressly stated|mentioned)(?: otherwise| differently)?(?: on (?:the|a) page|"
    r" below)?"
    r"|sauf mention contraire|wo nicht anders \w+|sofern nicht anders \w+|salvo indicación contraria|with the exception of [^.;]{3,80}|"
    r"(?:does|do) not (?:include|cover|apply to) [^.;]{3,80}|excluding [^.;,]{3,60}|additional terms may apply)",
    re.IGNORECASE,
)
_TEXT = (
    r"(?:works?|pages?|(?:web[ -]?)?sites?|articles?|contents?|texts?|materials?|documentation|docs|documents?|posts?|blogs?|"
    r"(?:text)?books?|wiki|publications?|"
    r"guides?|manuals?|tutorials?|stor(?:y|ies)|essays?|reports?|handbooks?|contributions?|writings?|prose|words|everything|entr(?:y|ies)|"
    r"chapters?|lessons?|"
    r"translations?|newsletters?|editions?|glossar(?:y|ies)|answers?|questions?|information|readme|specifications?|papers?|columns?|"
    r"werk|inhalte?|texte?|seite|webseite|artikel|beitr[äa]g\w*|contenus?|[œo]uvre|pages?|obra|contenidos?|art[íi]culo|sitio|p[áa]gina|"
    r"document)"
)
_CODE = r"(?:(?:source |example |sample )?code(?: samples?| examples?| snippets?| listings?| fragments?| blocks?)?|snippets?|listings?|scripts?)"
_MEDIA = (
    r"(?:theme music|(?:header|cover|title|banner|hero|background|featured|feature|main|top) (?:image|photo|picture|art|illustration)s?|"
    r"photos?|photographs?|photography|"
    r"images?|pictures?|pics?|illustrations?|artworks?|art|figures?|fig\.|icons?|icon set|logos?|fonts?|typefaces?|emoji|maps?|tiles?|"
    r"videos?|audio|music|songs?|sounds?|soundtracks?|"
    r"podcasts?|episodes?|recordings?|slides?|presentations?|banner|header|cover|avatars?|thumbnails?|screenshots?|diagrams?|graphics?|"
    r"charts?|animations?|films?|clips?|"
    r"drawings?|paintings?|renderings?|bild(?:er)?|fotos?|photographies?|im[áa]genes)"
)
_DATA = r"(?:data(?:sets?|bases?)?|data sets?|corpus|corpora|(?:model )?weights|models?|statistics|metadata|ontology)"
_SOFTWARE = (
    r"(?:software|programs?|librar(?:y|ies)|packages?|frameworks?|projects?|tools?|toolkit|app|application|plugins?|plug-ins?|extensions?|"
    r"themes?|templates?|engine|"
    r"modules?|drivers?|widgets?|games?|compiler|repository|repositories|forks?|binar(?:y|ies)|firmware|server|client|site design|design|"
    r"layout|style ?sheets?|skin|bot|api)"
)
_OTHER = (
    r"(?:comments?|excerpts?|extracts?|quot(?:es?|ations?)|definitions?|wikipedia(?: article)?|wikimedia|openstreetmap|poems?|lyrics|"
    r"recipes?|exercises?|"
    r"patents?|trademarks?|courses?|open textbook|abstracts?|supplement\w*|deed|badge|button)"
)
_NOUN = re.compile(
    rf"\b(?:(?P<code>{_CODE})|(?P<media>{_MEDIA})|(?P<data>{_DATA})|(?P<software>{_SOFTWARE})|(?P<other>{_OTHER})|(?P<text>{_TEXT}))\b",
    re.IGNORECASE,
)
_SCOPES = {"code": "code", "media": "image", "data": "embedded", "software": "software", "other": "embedded", "text": "page"}
_PREPOSITION = re.compile(
    r"\b(?:of|on|in|from|for|at|used|by|within|throughout|accompanying|published|posted|that|which|von|auf|de|du|sur|en)\b", re.IGNORECASE
)
_DEICTIC = re.compile(
    r"\b(?:this|these|our|all|its|everything|my|dieses?|dieser|ce|cet|cette|ces|le contenu|este|esta|user|site|website|page|web)\b",
    re.IGNORECASE,
)
_BARE_START = re.compile(
    rf"^\W*(?:the\s+|any\s+)?(?:site |website |page |user |written |text |blog |original |wiki )?{_TEXT}\b", re.IGNORECASE
)
_FOREIGN = re.compile(
    r"\b(?:from|adapted|taken|borrowed|courtesy|credit|credits|via|source|uses material|used under|reprinted|originally|photo(?:graph)? by|"
    r"by permission|"
    r"quelle|aus|wikipedia|wikimedia|flickr|unsplash)\b",
    re.IGNORECASE,
)
_TAKEN = re.compile(
    r"\b(?:uses? (?:material|text|content)s?|(?:is )?(?:based on|adapted from|derived from|taken from|borrowed from|reprinted from|"
    r"copied from)|used under|"
    r"from (?:the )?wiki\w+|wikipedia article)\b",
    re.IGNORECASE,
)
_MADE_BY = re.compile(
    r"\b(?:powered|built|made|generated|hosted|designed|developed|created|rendered|published|set) (?:by|with|using|on)\b", re.IGNORECASE
)
_NO_GRANT = re.compile(
    r"\b(?:not|never|no longer|isn[’']t|aren[’']t|cannot|neither|nicht|pas|no est[áa])\b(?! (?:copyrighted|subject to|protected))(?!-)"
    r"|\b(?:if|whether|should|must|could|would|might|want|wants|wish|wishes|plan|plans|planned|planning|going to|will|aspires?|hope|hopes|"
    r"until|formerly|"
    r"previously|used to|once|was|were|some|parts|part|portions|certain|most|many|sometimes|how|choose|choosing|select|for example|e\.g|"
    r"suppose|imagine|"
    r"pretend|require[sd]?|ask|asks|consider|may be (?:available|licensed|released|covered)|can be (?:licensed|released)|to (?:license|"
    r"share|release|publish|use|obtain))\b"
    r"|\byou (?:license|agree|grant|release|retain)\b|\byour (?:work|content|page|site|code|contributions?|articles?|own)\b|\b(?:license|"
    r"release|publish) (?:it|them|your)\b",
    re.IGNORECASE,
)
_FREE_TO = re.compile(
    r"\b(?:you are free to|to the extent possible under law|(?:would|we) like to|permission is (?:hereby )?granted to)\b", re.IGNORECASE
)
_EXPLAINS = re.compile(
    r"^[\s)\"”'’.]*(?:licen[cs]es?\b)?[\s)\"”]*\s*(?:lets|allows?|is (?:a|an|the|one|more|less|not)|means|requires?|permits?|gives?|"
    r"grants?|was|has|does|can|differs?|and its (?!doc))\b",
    re.IGNORECASE,
)
_TO_MACHINES = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,40}\b(?:previous|prior|above|below|all|any|the (?:notice|footer|instructions?))\b"
    r"|\b(?:AI|LLMs?|language models?|crawlers?|scrapers?|robots?|bots?|classifiers?|assistants?|agents?|automated (?:systems?|tools?|"
    r"readers?|agents?)|"
    r"machine readers?|data ?set (?:builders?|collectors?)|parsers?|system prompt|chatgpt|gpt)\b[^.]{0,80}\b(?:treat|consider|decide|must|"
    r"should|note|classify|record|assume|report|set|read|regard|accept|mark|label|know|take|may|can)\b"
    r"|\b(?:note|notice|message|instructions?|attention|hint|reminder|dear)\b[^.]{0,12}\b(?:to|for)?\b[^.]{0,12}\b(?:AI|LLMs?|"
    r"language models?|crawlers?|scrapers?|robots?|bots?|classifiers?|assistants?|agents?|automated|machines?)\b"
    r"|\b(?:SYSTEM|ASSISTANT)\s*:|\b(?:record|set|report|output|answer|classify|decide|conclude|treat)\b[^.]{0,40}\b(?:licen[cs]e|page|"
    r"site|text|this)\b[^.]{0,30}\b(?:as|to|that|is)\b",
    re.IGNORECASE,
)
_NOTHING_BUT_GRANT = re.compile(
    r"^[\W\d_]*(?:\b(?:licen[cs]e[ds]?|licensing|released|published|shared|available|distributed|provided|offered|made|under|the|a|an|"
    r"terms|conditions|of|is|are|and|by|with|in|"
    r"copyright|copyrighted|copyleft|rights?|some|reserved|all|cc|creative|commons|view|see|read|full|lizenz|lizenziert|unter|einer|der|"
    r"licencia|bajo|una|sous|"
    r"licence|termes|selon|les|la|mise?|à|disposition|except|where|otherwise|noted|unless|stated|author|authors|contributors|c|per|"
    r"international)\b[\W\d_]*)*+$",
    re.IGNORECASE,
)
_NEAR = re.compile(r"\b(?:this|these|our|my|dieses?|dieser|ce|cet|cette|ces|este|esta|estos)\b", re.IGNORECASE)
_CONNECTS = re.compile(
    r"(?:\b(?:under|terms(?: and conditions)? of|licen[cs]\w*|lizenz\w*|bajo|sous|unter|selon les termes de|dedicated|distributed|released|"
    r"available|shared|is|are|by|"
    r"with|via|per|into|in)|[:(|–—-]|\d{4})\W*"
    r"(?:\b(?:the|a|an|its|einer?|der|la|le|una?|licen[cs]e|licencia|following|standard|international|open|free)\b\W*)*$",
    re.IGNORECASE,
)
"""How the words before a licence's name end when they speak of what is under it."""
_OTHER_VERB = re.compile(
    r"\b(?:us(?:es|ed|ing)|contain(?:s|ing)?|includ(?:es?|ing)|incorporat\w+|featur(?:es|ing)|display\w*|embeds?|links?|lists?|cites?|"
    r"quotes?|describes?|discuss\w*|explains?|"
    r"shows?|covers?|reviews?|compares?|introduces?|presents?|reproduces?|draws?|mentions?|relies|builds?|reports?|recommends?|requires?|"
    r"mirrors?|hosts?|collects?|"
    r"about|look|looks|comes?|with (?:a|an|some)\b)\b",
    re.IGNORECASE,
)
"""Between a text and a licence, these make something else the thing that is licensed."""
_INVITES = re.compile(
    r"^\W*(?:get|download|read|see|buy|order|subscribe|join|check|learn|listen|watch|try|find|visit|click)\b", re.IGNORECASE
)
_COPYRIGHT_START = re.compile(r"^\W*(?:©|\(c\)|copyright\b|copyleft\b)", re.IGNORECASE)
_GRANTS = re.compile(
    r"\b(?:licen[cs]ed|released|distributed|available|published|offered|provided|dedicated|shared|governed|covered)\b", re.IGNORECASE
)


def addresses_machines(text: str) -> bool:
    """Whether a text gives instructions to programs that read it. What such a text says of licences counts for nothing."""
    return bool(_TO_MACHINES.search(text))


def read_text(text: str, links: Sequence[Link], label: str = "") -> Iterator[Reading]:
    """Readings of a block's sentences in order. A sentence without a subject carries on with that of the sentence before.

    `label` is what stands over the block or before it, such as a short heading.
    """
    before = _subject(label) if label else None
    before = None if before == "page" else before  # a label narrows, it grants nothing
    start = 0
    for stop in [*(found.span() for found in _BREAK.finditer(text)), (len(text), len(text))]:
        sentence = text[start : stop[0]]
        inside = [
            (str(href), int(first) - start, int(last) - start, bool(rel))
            for href, first, last, rel in links
            if start <= int(first) <= stop[0]
        ]
        readings = list(_read_sentence(sentence, inside, before))
        yield from readings
        subject = _subject(sentence) if sentence.strip() else None
        before = subject if subject is not None else before if not readings else None
        start = stop[1]


def _read_sentence(sentence: str, links: Sequence[tuple[str, int, int, bool]], before: str | None) -> Iterator[Reading]:
    if sentence.rstrip(' )"”').endswith("?"):
        return
    exception = _EXCEPTION.search(sentence)
    start = 0
    for stop in [*(found.span() for found in _CLAUSE.finditer(sentence)), (len(sentence), len(sentence))]:
        clause = sentence[start : stop[0]]
        named = _named(clause, [(href, first - start, last - start, rel) for href, first, last, rel in links if start <= first <= stop[0]])
        grants = [item for item in named if is_grant(item[0].spdx)]
        for mention, _link, _rel in named:
            if not is_grant(mention.spdx):
                yield Reading(mention.spdx, _subject(clause[: mention.end]), _short(sentence))
        if grants:
            first = grants[0][0]
            lead, tail = clause[: first.start], clause[first.end :]
            plain = _EXCEPTION.sub(" ", lead)
            if not _is_no_grant(plain, tail):
                scope, guessed = _scope(plain, tail, before)
                if scope == "page" and before != "page" and not _connects(plain, first):
                    scope = "embedded"
                near = bool(_NEAR.search(plain) or (before == "page" and not _subject(plain)) or first.spdx == "CC0-1.0")
                for (mention, link, rel), after in zip(grants, [*grants[1:], None], strict=True):
                    between = clause[mention.end : after[0].start] if after else ""
                    joined = (
                        "OR" if re.search(r"\bor\b|\boder\b|\bou\b", between) else "AND" if re.search(r"\band\b|&|\bund\b", between) else ""
                    )
                    yield Reading(
                        mention.spdx, scope, _short(sentence), link, exception[0] if exception else "", rel, joined, near, guessed
                    )
        before = _subject(clause) or before
        start = stop[1]


def _named(clause: str, links: Sequence[tuple[str, int, int, bool]]) -> list[tuple[Mention, str, bool]]:
    """Licences of a clause with the link each stands on. A name without a version takes that of an address of its family."""
    named = [(mention, "", False) for mention in mentions(clause)]
    for href, first, last, rel in links:
        spdx = licence_of_url(href)
        if spdx is None:
            if rel:
                named.append((Mention("", max(0, first), max(0, last)), href, True))
            continue
        inside = [index for index, (mention, _, _) in enumerate(named) if mention.start < max(last, first + 1) and mention.end > first]
        same = [index for index in inside if _agree(named[index][0].spdx, spdx)]
        for index in same:
            mention = named[index][0]
            named[index] = (mention._replace(spdx=spdx if is_family(mention.spdx) else mention.spdx), href, rel)
        if not same:
            if inside and spdx == SOME_COMMONS:
                continue
            named.append((Mention(spdx, max(0, first), max(0, last)), href, rel))
    named.sort(key=lambda item: item[0].start)
    exact = {family(mention.spdx): mention.spdx for mention, _, _ in named if mention.spdx and not is_family(mention.spdx)}
    merged: list[tuple[Mention, str, bool]] = []
    for mention, link, rel in named:
        spdx = exact.get(family(mention.spdx), mention.spdx) if is_family(mention.spdx) else mention.spdx
        if spdx == SOME_COMMONS and any(other.startswith("CC") for other in exact):
            continue
        known = next((index for index, item in enumerate(merged) if item[0].spdx == spdx), None)
        if known is None:
            merged.append((mention._replace(spdx=spdx), link, rel))
        elif link and not merged[known][1]:
            merged[known] = (merged[known][0], link, rel or merged[known][2])
    return merged


def _agree(one: str, other: str) -> bool:
    if one == other or SOME_COMMONS in (one, other):
        return True
    return family(one) == family(other) and (is_family(one) or is_family(other) or one.startswith(other) or other.startswith(one))


def _is_no_grant(lead: str, tail: str) -> bool:
    if _NO_GRANT.search(_FREE_TO.sub(" ", lead)):
        return True
    if re.search(r"\b(?:not|no longer)\b[^.;,]{0,20}$", lead, re.IGNORECASE):
        return True
    return bool(re.match(r"^\W*(?:the|a|an)?\W*$", lead, re.IGNORECASE) and _EXPLAINS.search(tail))


def _connects(lead: str, mention: Mention) -> bool:
    """Whether the words before a name lead to it as to a licence."""
    return (
        mention.spdx == PUBLIC_DOMAIN
        or bool(re.search(r"\bhas\W*$", lead))
        or bool(_CONNECTS.search(lead))
        or bool(_COPYRIGHT_START.match(lead))
    )


def _scope(lead: str, tail: str, before: str | None) -> tuple[str | None, bool]:
    """The scope, and whether it was guessed from the form of the sentence."""
    subject = _subject(lead)
    if subject is not None:
        return subject, False
    if before and re.match(r"^\W*(?:it|they|these|this|which|both)\b", lead, re.IGNORECASE):
        return before, False
    if _NOTHING_BUT_GRANT.match(lead):
        behind = re.match(r"\W*(?:applies to|for|covers)\s+(.{3,60})", tail, re.IGNORECASE)
        waived = re.match(r"[^.]{0,60}\bto\s+(this\s+\w+)", tail, re.IGNORECASE)
        return (_subject(behind[1]) if behind else _subject(waived[1]) if waived else None) or before, False
    if re.search(r"\bto\s+this\s+\w+", tail) and re.search(r"waived|dedicat", lead + tail, re.IGNORECASE):
        return "page", False
    if _COPYRIGHT_START.match(lead):
        return None, False
    if _FOREIGN.search(lead):
        return "embedded", False
    return ("software" if _GRANTS.search(lead) else "embedded"), True


def _subject(lead: str) -> str | None:
    """The scope that the first thing named before a grant has; with several joined by `and`, text counts first."""
    lead = re.sub(r"^\W*(?:on|in|as|for|throughout|within) [^,]{3,80},", " ", lead, flags=re.IGNORECASE)
    if _TAKEN.search(lead):
        return "embedded"
    made = _MADE_BY.search(lead)
    if made and not _NOUN.search(lead[: made.start()]):
        return "software"
    found = _NOUN.search(lead)
    if found is None:
        return None
    preposition = _PREPOSITION.search(lead, found.end())
    head = lead[: preposition.start() if preposition else len(lead)]
    kinds = {str(item.lastgroup) for item in _NOUN.finditer(head)} or {str(found.lastgroup)}
    first = str(found.lastgroup)
    if "code" in kinds and re.search(
        r"\bcode\b[^.;]{0,20}\b(?:of|for|behind|to)\b[^.;]{0,20}\b(?:site|website|page|blog|theme)\b|\b(?:site|website|"
        r"blog)[’']?s? (?:source )?code\b",
        lead,
        re.IGNORECASE,
    ):
        return "software"
    if first == "text" and (_OTHER_VERB.search(lead, found.end()) or _INVITES.search(lead)):
        return "embedded"
    if "text" in kinds and not (first in ("code", "software", "data") and "and" not in head.lower()):
        if _FOREIGN.search(lead) and not re.search(r"\b(?:this|our)\b", head, re.IGNORECASE):
            return "embedded"
        return "page" if _DEICTIC.search(lead) or _BARE_START.search(lead) else "embedded"
    return "code" if "code" in kinds else _SCOPES[first]


def _short(sentence: str) -> str:
    return " ".join(sentence.split())[:300]
