# pyright: basic
"""From statements to evidence: which licence a link or a sentence names, and what it covers."""

import hashlib
import json
import re
from collections.abc import Sequence
from email.parser import HeaderParser

from castalia.records import LicenceEvidence
from castalia.web.licences.texts import copyright_lines, identify

ALL_RIGHTS_RESERVED = "LicenseRef-all-rights-reserved"

_CC = re.compile(
    r"creativecommons\.org/(?:licenses/(?P<kind>by(?:-nc)?(?:-nd|-sa)?)/(?P<version>\d\.\d)|publicdomain/(?P<zero>zero|mark)/1\.0)", re.I
)
_CC_NAME = re.compile(
    r"\b(?:CC|Creative Commons)[ -]*(?P<kind>BY(?:[ -]NC)?(?:[ -](?:ND|SA))?|"
    r"Attribution(?:[ -]Non-?Commercial)?(?:[ -](?:No-?Deriv\w*|Share-?Alike))?)"
    r"[ -]*(?P<version>\d\.\d)?",
    re.IGNORECASE,
)
_NAMES: tuple[tuple[str, str], ...] = (
    (r"apache(?:[ ,-]*software)?[ ,-]*(?:licen[cs]e)?[ ,v-]*(?:version)? ?2(?:\.0)?|licenses/LICENSE-2\.0|^apache$", "Apache-2.0"),
    (r"\b(?:the )?MIT(?: licen[cs]e|/X11|\b(?=[\s.,;)]|$))|licen[cs]es?/mit\b", "MIT"),
    (r"(?:3|three)[ -]clause[ -]bsd|bsd[ -](?:3|three)[ -]clause|new bsd|modified bsd|bsd-3-clause", "BSD-3-Clause"),
    (r"(?:2|two)[ -]clause[ -]bsd|bsd[ -](?:2|two)[ -]clause|simplified bsd|freebsd licen|bsd-2-clause", "BSD-2-Clause"),
    (r"\bISC licen[cs]e|licen[cs]es?/isc\b|^isc$", "ISC"),
    (r"\bCC0\b|CC[ -]Zero", "CC0-1.0"),
    (r"\bunlicense\b", "Unlicense"),
    (r"\bPostgreSQL licen[cs]e|licen[cs]es?/postgresql", "PostgreSQL"),
    (r"mozilla public licen[cs]e,? ?(?:version )?2|\bMPL[ -]?2|MPL/2\.0", "MPL-2.0"),
    (r"affero|\bAGPL", "AGPL-3.0-or-later"),
    (r"lesser general public|\bLGPL", "LGPL-3.0-or-later"),
    (r"gnu free documentation|\bGFDL\b|\bFDL\b", "GFDL-1.3-or-later"),
    (r"gnu general public|\bGPL", "GPL-3.0-or-later"),
    (r"python software foundation licen[cs]e|\bPSF\b", "PSF-2.0"),
    (r"\ball rights reserved\b", ALL_RIGHTS_RESERVED),
)
_CODE = re.compile(r"\b(?:code samples?|source code|code snippets?|code examples?|the software|this software|program)\b", re.IGNORECASE)
_TEXT = re.compile(
    r"\b(?:content|text|page|site|website|article|work|documentation|document|book|tutorial|material|wiki|blog|post|documents|docs|manual|guide)s?\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:photo|image|picture|icon|font|map|tiles?|logo|video|podcast|music|data|dataset|theme|template)s?\b", re.IGNORECASE
)
_CLASSIFIERS = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": None,
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
}


def licence_in(text: str) -> str | None:
    """SPDX id that a link or a few words name, None when they name none. Short texts only; files go to `identify`."""
    found = _CC.search(text)
    if found:
        if found["zero"]:
            return "CC0-1.0" if found["zero"].lower() == "zero" else "LicenseRef-public-domain-mark"
        return f"CC-{found['kind'].upper()}-{found['version']}"
    for pattern, spdx in _NAMES[:-1]:
        if re.search(pattern, text, re.IGNORECASE):
            return spdx
    named = _CC_NAME.search(text)
    if named:
        kind = re.sub(r"(?i)attribution", "BY", named["kind"])
        kind = re.sub(r"(?i)non-?commercial", "NC", kind)
        kind = re.sub(r"(?i)no-?deriv\w*", "ND", kind)
        kind = re.sub(r"(?i)share-?alike", "SA", kind)
        return f"CC-{re.sub(r'[ -]+', '-', kind).upper()}-{named['version'] or '4.0'}"
    return ALL_RIGHTS_RESERVED if re.search(_NAMES[-1][0], text, re.IGNORECASE) else None


def page_evidence(url: str, statements: Sequence[Sequence[str]]) -> list[LicenceEvidence]:
    """Evidence from the statements of `read_facts`. The sentence narrows or widens what the place alone says."""
    evidence: list[LicenceEvidence] = []
    for place, scope, link, sentence in statements:
        spdx = licence_in(link) or licence_in(sentence)
        if spdx is None and place not in ("rel-license",):
            continue
        record = LicenceEvidence.model_validate(
            {"spdx": spdx, "url": url, "place": place, "scope": _scope(place, scope, sentence), "sentence": (sentence or link)[:300]}
        )
        if record not in evidence:
            evidence.append(record)
    return evidence


def _scope(place: str, scope: str, sentence: str) -> str:
    if scope == "image" or place in ("meta", "json-ld"):
        return scope
    if _CODE.search(sentence) and not _TEXT.search(_CODE.sub("", sentence)):
        return "code"
    if _TEXT.search(sentence):
        return (
            "page"
            if place != "article" or re.search(r"\bthis (?:page|site|work|article|website|book|document\w*)\b", sentence, re.I)
            else "text"
        )
    if _OTHER.search(sentence):
        return "embedded"
    return scope


def file_evidence(url: str, text: str) -> LicenceEvidence | None:
    """Evidence from a file of the site: package metadata by its fields, anything else as a licence text. None if it says nothing."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    name = url.rsplit("/", 1)[-1]
    if re.match(r"Metadata-Version:", text):
        spdx, sentence = _package_metadata(text)
        place = "package-metadata"
    elif name == "package.json":
        spdx, sentence = _package_json(text)
        place = "package-metadata"
    else:
        spdx = identify(text)
        sentence = copyright_lines(text) or " ".join(text.split())[:200]
        place = "licence-file"
    if spdx is None and place == "package-metadata":
        return None
    return LicenceEvidence(spdx=spdx, url=url, place=place, scope="site", sentence=sentence[:300], sha256=digest)


def _package_metadata(text: str) -> tuple[str | None, str]:
    fields = HeaderParser().parsestr(text, headersonly=True)
    expression = fields.get("License-Expression")
    if expression:
        return expression.strip(), f"License-Expression: {expression.strip()}"
    short = fields.get("License", "")
    if short and "\n" not in short and len(short) < 100 and licence_in(short):
        return licence_in(short), f"License: {short}"
    for classifier in fields.get_all("Classifier", []):
        spdx = _CLASSIFIERS.get(classifier.rsplit(" :: ", 1)[-1]) if classifier.startswith("License ::") else None
        if spdx:
            return spdx, f"Classifier: {classifier}"
    return None, ""


def _package_json(text: str) -> tuple[str | None, str]:
    try:
        value = json.loads(text)
    except ValueError:
        return None, ""
    licence = value.get("license") if isinstance(value, dict) else None
    return (licence, f'"license": "{licence}"') if isinstance(licence, str) else (None, "")
