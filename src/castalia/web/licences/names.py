"""The names of licences: which licence an address or some words name, with the version and the country they give.

A name without a version is a family, written `LicenseRef-CC-BY`; nothing is guessed. So is a port that SPDX has no id for, such as
`LicenseRef-CC-BY-SA-3.0-IT`.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from castalia.web.prescan import word_set

RESERVED = "LicenseRef-all-rights-reserved"
FORBIDDEN = "LicenseRef-no-copying"
PUBLIC_DOMAIN = "LicenseRef-scancode-public-domain"
SOME_COMMONS = "LicenseRef-Creative-Commons"

_CC_KINDS = word_set("by by-sa by-nc by-nd by-nc-sa by-nc-nd")
_CC_VERSIONS = word_set("1.0 2.0 2.1 2.5 3.0 4.0")
_PORTS = word_set(
    "CC-BY-2.5-AU CC-BY-3.0-AT CC-BY-3.0-AU CC-BY-3.0-DE CC-BY-3.0-IGO CC-BY-3.0-NL CC-BY-3.0-US CC-BY-NC-3.0-DE CC-BY-NC-ND-3.0-DE "
    "CC-BY-NC-ND-3.0-IGO CC-BY-NC-SA-2.0-DE CC-BY-NC-SA-2.0-FR CC-BY-NC-SA-2.0-UK CC-BY-NC-SA-3.0-DE CC-BY-NC-SA-3.0-IGO CC-BY-ND-3.0-DE "
    "CC-BY-SA-2.0-UK CC-BY-SA-2.1-JP CC-BY-SA-3.0-AT CC-BY-SA-3.0-DE CC-BY-SA-3.0-IGO"
)
_COUNTRIES = {
    "united states": "US", "germany": "DE", "deutschland": "DE", "austria": "AT", "australia": "AU", "netherlands": "NL", "france": "FR",
    "united kingdom": "UK", "uk": "UK", "us": "US", "usa": "US", "igo": "IGO", "japan": "JP", "italy": "IT", "spain": "ES", "canada": "CA",
    "switzerland": "CH", "new zealand": "NZ", "poland": "PL", "brazil": "BR", "ireland": "IE", "sweden": "SE", "norway": "NO",
}  # fmt: skip
_WITH_ADDRESS = word_set(
    "0BSD AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 "
    "ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.2 GFDL-1.2-only GFDL-1.2-or-later GFDL-1.3-only GFDL-1.3-or-later GPL-2.0-only "
    "GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0 "
    "MPL-2.0 NCSA ODbL-1.0 OFL-1.1 OGL-UK-3.0 PDDL-1.0 PostgreSQL PSF-2.0 Unlicense UPL-1.0 WTFPL Zlib"
)
_IDS = {spdx.lower(): spdx for spdx in _WITH_ADDRESS} | {
    "gpl-2.0": "GPL-2.0-only", "gpl-3.0": "GPL-3.0-only", "lgpl-2.1": "LGPL-2.1-only", "lgpl-3.0": "LGPL-3.0-only", "agpl-3.0": "AGPL-3.0-only",
    "fdl-1.2": "GFDL-1.2-only", "fdl-1.3": "GFDL-1.3-only", "gpl": "LicenseRef-GPL", "lgpl": "LicenseRef-LGPL", "agpl": "LicenseRef-AGPL",
    "fdl": "LicenseRef-GFDL", "bsd": "LicenseRef-BSD", "mit-license": "MIT", "isc-license": "ISC", "bsl1.0": "BSL-1.0", "license-2.0": "Apache-2.0",
    "apache2.0": "Apache-2.0", "zlib-license": "Zlib",
}  # fmt: skip


class Mention(NamedTuple):
    """A licence named at `start` to `end` of a text."""

    spdx: str
    start: int
    end: int


def licence_of_url(url: str) -> str | None:
    """SPDX id or family that the address of a licence names; None for an address that is none.

    The host must be the licence's own: one that merely begins like it says nothing.
    """
    try:
        parts = urlsplit(url.strip(), scheme="https")
        host = (parts.hostname or "").removeprefix("www.").lower()
    except ValueError:
        return None
    steps = [step for step in parts.path.lower().split("/") if step]
    last = re.sub(r"\.(?:html?|txt|php|en)$", "", steps[-1]) if steps else ""
    if host in ("creativecommons.org", "i.creativecommons.org", "licensebuttons.net"):
        return _creative_commons(steps)
    if host in ("opensource.org", "spdx.org", "choosealicense.com", "gnu.org", "apache.org", "tldrlegal.com", "directory.fsf.org"):
        return _IDS.get(re.sub(r"-standalone$", "", last)) if any("licen" in step or step == "copyleft" for step in steps) else None
    if host == "nationalarchives.gov.uk" and "open-government-licence" in steps:
        version = next((step for step in steps if re.fullmatch(r"[123]", step)), None)
        return f"OGL-UK-{version}.0" if version else "LicenseRef-OGL-UK"
    if host == "opendatacommons.org":
        return next((spdx for name, spdx in (("pddl", "PDDL-1.0"), ("odbl", "ODbL-1.0"), ("by", "ODC-By-1.0")) if name in steps), None)
    if host == "mozilla.org" and "mpl" in steps:
        return "MPL-2.0" if "2.0" in steps else None
    return {"unlicense.org": "Unlicense", "wtfpl.net": "WTFPL", "artlibre.org": "LAL-1.3"}.get(host)


def _creative_commons(steps: list[str]) -> str | None:
    if steps[:1] == ["l"]:
        steps = ["licenses", *steps[1:]]
    if steps[:2] == ["publicdomain", "zero"]:
        return "CC0-1.0" if steps[2:3] == ["1.0"] else None
    if steps[:2] == ["publicdomain", "mark"]:
        return "CC-PDM-1.0" if steps[2:3] == ["1.0"] else None
    if steps[:1] != ["licenses"] or len(steps) < 2:
        return SOME_COMMONS
    kind = "by-nc-nd" if steps[1] == "by-nd-nc" else steps[1]
    if kind == "publicdomain":
        return "CC-PDDC"
    if kind not in _CC_KINDS or len(steps) < 3 or steps[2] not in _CC_VERSIONS:
        return None
    country = steps[3].upper() if len(steps) > 3 and re.fullmatch(r"[a-z]{2}|igo", steps[3]) and steps[2] != "4.0" else ""
    return _cc_id(kind.upper(), steps[2], country)


def _cc_id(kind: str, version: str, country: str = "") -> str:
    if not version:
        return f"LicenseRef-CC-{kind}"
    ported = f"CC-{kind}-{version}-{country}" if country else f"CC-{kind}-{version}"
    return ported if not country or ported in _PORTS else f"LicenseRef-{ported}"


_SEPARATOR = r"[\s/,+‐-―-]*"
_PARTS = (
    r"(?:non[\s-]*commercial|\bNC\b|nicht[\s-]*kommerziell|pas d[e'’]\s*utilisation commerciale|no[\s-]*comercial)",
    r"(?:share[\s-]*alike|\bSA\b|weitergabe unter gleichen bedingungen|partage dans les m[êe]mes conditions|compartir[\s-]*igual)",
    r"(?:no[\s-]*deriv(?:ative|ate|s)*(?:[\s-]*works?)?|\bND\b|keine[\s-]*bearbeitung(?:en)?|pas de modifications?|"
    r"sin[\s-]*(?:obra)?[\s-]*derivad[ao]s?)",
)
_VERSION = r"(?:[\s,(-]*(?:licen[cs]e|lizenz|licencia|licence)?[\s,(-]*(?:version\s*|v\.?\s*)?(?P<version>[1-4]\.\d))?"
_COUNTRY = (
    r"(?:\s*(?:unported|international|generic|internacional))?(?:[\s(-]*\b(?P<country>"
    + "|".join(sorted(_COUNTRIES, key=len, reverse=True))
    + r")\b)?"
)
_CC_WORDS = re.compile(
    r"(?:\bCC[\s:-]*|\bCreative\s+Commons(?:\s+(?:licen[cs]e|lizenz|licencia|public\s+licen[cs]e))?[\s:,(“\"'-]*(?:CC[\s-]*)?)"
    r"(?:BY\b|attribution|namensnennung|reconocimiento|atribuci[óo]n|paternit[ée])"
    rf"(?P<parts>(?:{_SEPARATOR}(?:{'|'.join(_PARTS)}))*)" + _VERSION + _COUNTRY,
    re.IGNORECASE,
)
_GNU_VERSION = (
    r"(?:[\s,(]*(?:version\s*|v\.?\s*|-)?(?P<number>[1-3](?:\.\d)?)"
    r"(?P<later>\+|[\s,]*\(?(?:or|and)\s+(?:\(?at your option\)?\s+)?(?:any\s+)?(?:later|newer|above))?)?"
)
_GNU = re.compile(
    r"(?:\bGNU\s+)?(?P<name>(?:affero|lesser|library|free\s+documentation)?\s*(?:general\s+public\s+)?licen[cs]e|\b[AL]?GPL|\bG?FDL\b)"
    + _GNU_VERSION,
    re.IGNORECASE,
)
_GNU_NAME = re.compile(r"affero|lesser|library|free\s+documentation|general\s+public|gpl|fdl", re.IGNORECASE)


def _cc(found: re.Match[str]) -> str:
    kind = "BY" + "".join(
        f"-{name}" for name, pattern in zip(("NC", "SA", "ND"), _PARTS, strict=True) if re.search(pattern, found["parts"], re.IGNORECASE)
    )
    return _cc_id(kind, found["version"] or "", _COUNTRIES.get((found["country"] or "").lower(), "") if found["version"] != "4.0" else "")


def _gnu(found: re.Match[str]) -> str | None:
    name = " ".join(found["name"].lower().split())
    if not _GNU_NAME.search(name):
        return None
    family = "GFDL" if "doc" in name or "fdl" in name else "AGPL" if name.startswith(("aff", "ag")) else "GPL"
    family = "LGPL" if name.startswith(("less", "lib", "lg")) else family
    number = found["number"]
    if not number:
        return f"LicenseRef-{family}"
    return f"{family}-{number if '.' in number else number + '.0'}-{'or-later' if found['later'] else 'only'}"


def _apache(found: re.Match[str]) -> str:
    number = found["n"] or "2"
    return "Apache-2.0" if number[0] == "2" else f"Apache-{number}"


def _open_government(found: re.Match[str]) -> str:
    number = found["n"] or found["m"]
    return f"OGL-UK-{number}.0" if number else "LicenseRef-OGL-UK"


def _numbered(spdx: str, family: str) -> Callable[[re.Match[str]], str]:
    return lambda found: spdx.format(found["n"]) if found["n"] else family


_Name = Callable[[re.Match[str]], str | None] | str
_PATTERNS: tuple[tuple[re.Pattern[str] | str, _Name], ...] = (
    (_CC_WORDS, _cc),
    (r"\bCC[\s-]*(?:0|zero)\b(?:\s*\(?v?1\.0)?(?:\s*universal)?|\bcreative commons zero\b", "CC0-1.0"),
    (r"\bpublic domain mark\b(?: 1\.0)?", "CC-PDM-1.0"),
    (_GNU, _gnu),
    (r"\bapache(?:[ ,-]*software)?[ ,-]*(?:licen[cs]e)?[ ,v-]*(?:version)? ?(?P<n>[12]\.[01]|2\b)|\bASL ?2\.0", _apache),
    (r"\bapache (?:software )?licen[cs]e\b", "LicenseRef-Apache"),
    (r"\b(?:0|zero)[\s-]*clause[\s-]*BSD\b|\b0BSD\b|\bBSD[\s-]*(?:0|zero)[\s-]*clause\b", "0BSD"),
    (r"\b(?:3|three)[\s-]*clause[\s-]*BSD\b|\bBSD[\s-]*(?:3|three)[\s-]*clause\b|\b(?:new|modified) BSD\b", "BSD-3-Clause"),
    (r"\b(?:2|two)[\s-]*clause[\s-]*BSD\b|\bBSD[\s-]*(?:2|two)[\s-]*clause\b|\b(?:simplified|freebsd) BSD\b", "BSD-2-Clause"),
    (r"\bBSD[ -](?:style )?licen[cs]e", "LicenseRef-BSD"),
    (r"\bMIT(?:[ -]?licen[cs]ed?\b|/X11| open[ -]source licen[cs]e)", "MIT"),
    (r"\bISC licen[cs]e", "ISC"),
    (r"\bzlib licen[cs]e", "Zlib"),
    (r"\bboost software licen[cs]e", "BSL-1.0"),
    (r"\bunlicen[cs]e\b", "Unlicense"),
    (r"\bWTFPL\b", "WTFPL"),
    (r"\bpostgresql licen[cs]e", "PostgreSQL"),
    (r"\bpython software foundation licen[cs]e|\bPSF(?:[ -]2\.0| licen[cs]e)", "PSF-2.0"),
    (r"\bmozilla public licen[cs]e,? ?(?:version |v)?2(?:\.0)?|\bMPL[ -]?2\.0", "MPL-2.0"),
    (r"\beclipse public licen[cs]e(?:[ ,-]*(?:version |v)?(?P<n>[12]\.0))?", _numbered("EPL-{}", "LicenseRef-EPL")),
    (r"\b(?:SIL )?open font licen[cs]e|\bOFL\b", "OFL-1.1"),
    (r"\bopen government licen[cs]e[\s,–-]*canada\b", "OGL-Canada-2.0"),
    (r"\bopen government licen[cs]e(?:[ ,(-]*(?:version |v)?(?P<n>[123])(?:\.0)?)?|\bOGL(?:[ -]UK)?[ -]v?(?P<m>[123])", _open_government),
    (r"\bPDDL\b(?:[ -]?1\.0)?|\bpublic domain dedication and licen[cs]e", "PDDL-1.0"),
    (r"\bODbL\b(?:[ -]?1\.0)?|\bopen database licen[cs]e", "ODbL-1.0"),
    (r"\bfree art licen[cs]e|\blicence art libre", "LAL-1.3"),
    (r"\bwaived all (?:copyright|rights)", "CC0-1.0"),
    (
        r"\b(?:in|into|to|als|is|are) (?:the )?public[ -]domain\b|\bpublic[ -]domain work\b"
        r"|\bnot (?:copyrighted|subject to copyright|protected by copyright)\b",
        PUBLIC_DOMAIN,
    ),
    (r"\bcreative commons\b(?!\s+(?:corporation|foundation|search|org))", SOME_COMMONS),
    (
        r"\ball\s+rights\s+(?:are\s+)?reserved\b|\balle rechte vorbehalten\b|\btous droits réservés\b|\btodos los derechos reservados\b",
        RESERVED,
    ),
    (
        r"\b(?:no part of (?:this|the)|(?:may|must|can) ?not be (?:copied|reproduced|republished|reprinted|redistributed|used|"
        r"published|distributed))\b"
        r"|\b(?:copied|copying|reproduc|republi|reprint|redistribut|duplicat)\w*\b[^.;]{0,90}\bwithout\b[^.;]{0,50}\b(?:permission|"
        r"consent|approval|authori[sz]ation)\b"
        r"|\b(?:reproduction|copying|duplication|republication)\b[^.;]{0,60}\b(?:is|are) (?:strictly )?(?:prohibited|forbidden)"
        r"|\bpermission before copying\b",
        FORBIDDEN,
    ),
)
_RULES = tuple((re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern, name) for pattern, name in _PATTERNS)
_ADDRESS = re.compile(r"(?:https?:)?//[^\s\"'<>()\]]{4,200}|\b(?:www\.)?creativecommons\.org/[^\s\"'<>()\]]{4,100}", re.IGNORECASE)
_BARE = re.compile(r"(?<![\w-])(?:MIT|ISC|Apache)(?![\w-]|[ ](?!licen)[A-Z])")
_BARE_IDS = {"MIT": "MIT", "ISC": "ISC", "Apache": "LicenseRef-Apache"}
_EXACT_ID = re.compile(
    r"(?<![\w.-])(?:AGPL|GPL|LGPL|GFDL|Apache|BSD|MPL|EPL|CC0|PSF|ODbL|PDDL|OGL-UK|OFL|BSL|BlueOak|EUPL|UPL|Artistic)-[\w.-]*\w"
)


def mentions(text: str) -> list[Mention]:
    """Licences that `text` names, in order, without those that lie within a longer name. Addresses in the text count too."""
    found: list[Mention] = []
    for address in _ADDRESS.finditer(text):
        url = address[0].rstrip(".,;")
        spdx = licence_of_url(url if "//" in url else f"https://{url}")
        found.append(Mention(spdx or "", address.start(), address.end()))
    for exact in _EXACT_ID.finditer(text):
        if exact[0].lower() in _IDS:
            found.append(Mention(_IDS[exact[0].lower()], exact.start(), exact.end()))
    for pattern, name in _RULES:
        for hit in pattern.finditer(text):
            spdx = name if isinstance(name, str) else name(hit)
            if spdx:
                found.append(Mention(spdx, hit.start(), hit.end()))
    if re.search(r"licen[cs]e|code\b[^.]{0,20}:", text, re.IGNORECASE):
        found.extend(Mention(_BARE_IDS[hit[0]], hit.start(), hit.end()) for hit in _BARE.finditer(text))
    found.sort(key=lambda item: (item.start, -item.end))
    kept: list[Mention] = []
    for mention in found:
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return [mention for mention in kept if mention.spdx]


def licence_in(text: str) -> str | None:
    """The licence that an address or a few words name, None when they name none."""
    whole = licence_of_url(text) if re.match(r"\s*(?:https?:)?//\S+\s*$", text) else None
    if whole or re.match(r"\s*https?://\S+\s*$", text):
        return whole
    if text.strip().lower() in _IDS:
        return _IDS[text.strip().lower()]
    return next((mention.spdx for mention in mentions(text)), None)


def family(spdx: str) -> str:
    """The name without its version, so that `LicenseRef-CC-BY` and `CC-BY-4.0` have one family."""
    plain = spdx.removeprefix("LicenseRef-")
    return re.sub(r"-\d+(?:\.\d+)*(?:-[A-Z]{2,3})?(?:-only|-or-later)?$", "", plain)


def is_family(spdx: str) -> bool:
    """Whether the name has no version though its family has several."""
    return (
        spdx.startswith("LicenseRef-")
        and family(spdx) == spdx.removeprefix("LicenseRef-")
        and spdx not in (RESERVED, FORBIDDEN, PUBLIC_DOMAIN)
    )


def is_grant(spdx: str) -> bool:
    """Whether the name is that of a licence, not words that reserve or forbid."""
    return spdx not in (RESERVED, FORBIDDEN)
