"""Evidence from all the licence files of a site, taken together: each file has a scope, and files of one scope may mean one licence.

A file whose name says so (`LICENSE-docs`, `LICENSE-CODE`) holds for the prose or for the code. Beside one for the prose, a file without
such a name holds for the code; beside one for the code, for the prose.
"""

import re
from collections.abc import Mapping

from castalia.records import LicenceEvidence
from castalia.web.licences.evidence import file_evidence
from castalia.web.licences.texts import identify_all

_CODE = re.compile(r"(?:^|[-_./ ])(?:code|source|src|software|samples?|examples?|snippets?)(?:[-_. ]|$)", re.IGNORECASE)
_PROSE = re.compile(r"(?:^|[-_./ ])(?:docs?|documentation|contents?|text|prose|website)(?:[-_. ]|$)", re.IGNORECASE)
_ENDING = re.compile(r"\.(?:txt|md|rst|html?)$", re.IGNORECASE)


def files_evidence(files: Mapping[str, str]) -> list[LicenceEvidence]:
    """Evidence from files by URL and text, in their order. A text that stands at two addresses counts once.

    Where the files of one scope name one licence between them (`identify_all`: a short notice beside the text it means, the LGPL beside
    the GPL that it refers to), what they don't name is left out; the rest is judged as it stands.
    """
    found: dict[str, LicenceEvidence] = {}
    for url, text in files.items():
        item = file_evidence(url, text)
        if item is not None and all(item.sha256 != other.sha256 for other in found.values()):
            found[url] = item
    texts = [url for url, item in found.items() if item.place == "licence-file"]
    prose, code = [url for url in texts if _covers(url, _PROSE)], [url for url in texts if _covers(url, _CODE)]
    if prose:
        code = [url for url in texts if url not in prose]
    for url in code:
        found[url] = found[url].model_copy(update={"scope": "code", "stated": True})
    for group in (code, [url for url in texts if url not in code]):
        one = identify_all({url: files[url] for url in group}) if len(group) > 1 else None
        for url in group:
            if one is not None and found[url].spdx != one:
                del found[url]
    return list(found.values())


def _covers(url: str, part: re.Pattern[str]) -> bool:
    name = url.partition("?")[0].rsplit("/", 1)[-1]
    return bool(part.search(_ENDING.sub("", name)))
