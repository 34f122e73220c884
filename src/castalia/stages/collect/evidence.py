"""Licence evidence that holds for a whole site: files at its root and in its folder, files that the user names, what the user states."""

import asyncio
from collections.abc import Sequence

from castalia.records import LicenceEvidence, StatedLicence
from castalia.web.licences import file_evidence
from castalia.web.service import Web
from castalia.web.urls import canonical_url, folder_of, site_root
from castalia.web.worker import call_limited

_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")


class SiteEvidence:
    """Evidence by site, read once for each."""

    def __init__(self, web: Web, named: Sequence[str], stated: Sequence[StatedLicence]) -> None:
        self._web = web
        self._named = named
        self._stated = stated
        self._known: dict[str, tuple[LicenceEvidence, ...]] = {}

    async def of(self, site: str, url: str) -> tuple[LicenceEvidence, ...]:
        """What holds for the page at `url` of `site`."""
        place = folder_of(site)
        if place not in self._known:
            self._known[place] = tuple(await self._read(site))
        stated = (_as_evidence(statement) for statement in self._stated if url.startswith(statement.url))
        return (*self._known[place], *stated)

    async def _read(self, site: str) -> list[LicenceEvidence]:
        """Conventional files say something only where they are no page; a file that the user names may be one."""
        usual = [f"{folder}{name}" for folder in (site_root(site), folder_of(site)) for name in _LICENCE_FILES]
        named = [url for name in self._named if (url := canonical_url(name, site))]
        evidence: list[LicenceEvidence] = []
        for url in dict.fromkeys([*named, *usual]):
            fetched = await self._web.fetch(url)
            if fetched.problem or (fetched.media_type == "text/html" and url not in named):
                continue
            text = self._web.text(fetched)
            if fetched.media_type == "text/html":
                text = (await asyncio.to_thread(call_limited, "castalia.stages.collect.lines:visible_lines", text)).value or ""
            item = file_evidence(fetched.final_url, text)
            if item is not None and not any(item.sha256 == other.sha256 for other in evidence):
                evidence.append(item)
        return evidence


def _as_evidence(stated: StatedLicence) -> LicenceEvidence:
    sentence = f"stated by configuration: {stated.reason}"[:300]
    return LicenceEvidence(spdx=stated.spdx, url=stated.url, place="configuration", scope="site", sentence=sentence)
