# pyright: basic
"""From statements to evidence: which licence a page or a file names, and what it covers."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from typing import Any

from castalia.records import LicenceEvidence
from castalia.web.licences.names import is_grant, licence_in, licence_of_url
from castalia.web.licences.sentences import Reading, addresses_machines, read_text
from castalia.web.licences.texts import copyright_lines, identify

_CLASSIFIERS = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
}
_MARKUP = ("rel-license", "meta", "json-ld", "rdfa")


def page_evidence(url: str, statements: Sequence[Mapping[str, Any]]) -> list[LicenceEvidence]:
    """Evidence from the statements of `read_facts`, without repeats. What nobody sees, and what speaks to programs, is kept as `hidden`."""
    evidence: list[LicenceEvidence] = []
    for statement in statements:
        found = _of_markup(url, statement) if statement["place"] in _MARKUP else _of_block(url, statement)
        evidence.extend(item for item in found if item not in evidence)
    return evidence


def _of_markup(url: str, statement: Mapping[str, Any]) -> list[LicenceEvidence]:
    """Evidence from a machine-readable statement: an address, or a few words."""
    text, link = statement["text"], statement["link"]
    hidden = "hidden" in statement["marks"] or "comment" in statement["marks"]
    place = "hidden" if hidden else statement["place"]
    if link:
        spdx = licence_of_url(link) or (None if re.match(r"\S*[/:]\S*$", link) else licence_in(link))
        if spdx is None and statement["place"] == "rdfa" and not re.match(r"https?:", link):
            return []
        return [_record(url, Reading(spdx or "", statement["scope"], (text or link)[:300], link), place, statement["scope"])]
    if addresses_machines(text):
        return []
    whole = licence_of_url(text.strip()) if re.match(r"\s*\S+\s*$", text) else None
    readings = [Reading(whole, None, text.strip()[:300], text.strip())] if whole else list(read_text(text, ()))
    plain = (None, "software", "embedded")  # a name before the licence is the holder's
    return [_record(url, reading, place, statement["scope"] if reading.scope in plain else reading.scope) for reading in _joined(readings)]


def _of_block(url: str, statement: Mapping[str, Any]) -> list[LicenceEvidence]:
    """Evidence from a block that readers see. Its surroundings can only narrow what its words say."""
    marks, text = set(statement["marks"]), statement["text"]
    if {"code", "control"} & marks:
        return []
    found: list[LicenceEvidence] = []
    unseen = "hidden" in marks or addresses_machines(text)
    readings = _joined(list(read_text(text, statement["links"], statement.get("label", ""))))
    several = len({reading.spdx for reading in readings if is_grant(reading.spdx) and reading.scope in (None, "page")}) > 1
    for reading in readings:
        if unseen:
            if is_grant(reading.spdx):
                found.append(_record(url, reading, "hidden", reading.scope or "embedded"))
            continue
        place = statement["place"]
        scope = reading.scope
        unsure = scope is None and place in ("article", "aside") and not marks & {"quote", "comment", "media", "item"}
        if scope == "page" and place in ("article", "aside") and not reading.near:
            scope = "embedded"  # an article says of others what a footer says of its own page
        if reading.guessed and reading.rel and place == "footer":
            scope = None
        if marks & {"quote", "comment"}:
            scope = "embedded"
        elif "media" in marks and not (place == "footer" and scope == "page"):
            place, scope = ("caption", "image") if place != "footer" or not _is_badge(statement) else (place, scope)
        elif "item" in marks and scope != "page" and place != "footer":
            scope = scope or "embedded"
        if scope is None and several and place == "article":
            scope = "embedded"
        if place == "article" and "aside" in marks:
            place = "aside"
        if reading.rel and scope is None and not _is_badge(statement):
            place = "rel-license"
        found.append(_record(url, reading, place, scope, unsure=unsure and place in ("article", "aside") and is_grant(reading.spdx)))
    return found


def _is_badge(statement: Mapping[str, Any]) -> bool:
    """Whether a block is nothing but a link without words, as around the badge of a licence."""
    return not re.search(r"\w", statement["text"]) and len(statement["links"]) == 1


def _joined(readings: Sequence[Reading]) -> list[Reading]:
    """Readings, with licences of one sentence that are joined by `or` or `and` made one expression."""
    made: list[Reading] = []
    open_with = ""
    for reading in readings:
        last = made[-1] if made else None
        if last and open_with and last.sentence == reading.sentence and last.scope == reading.scope and reading.spdx and last.spdx:
            made[-1] = last._replace(spdx=f"{last.spdx} {open_with} {reading.spdx}", exceptions=last.exceptions or reading.exceptions)
        else:
            made.append(reading)
        open_with = reading.joined
    return made


def _record(url: str, reading: Reading, place: str, scope: str | None, *, unsure: bool = False) -> LicenceEvidence:
    spdx = reading.spdx
    version = re.search(r"-(\d+(?:\.\d+)+)", spdx)
    return LicenceEvidence.model_validate({
        "spdx": spdx or None, "url": url, "place": place, "scope": scope or ("page" if place not in ("article", "aside") else "embedded"),
        "sentence": reading.sentence[:300] or reading.link, "link": reading.link, "version": version[1] if version else "",
        "stated": reading.scope is not None and not reading.guessed, "exceptions": reading.exceptions, "unsure": unsure,
    })  # fmt: skip


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
