"""Licence evidence that holds for a whole site: files at its root and in its folder, files that the user names, what the user states."""

import asyncio
from collections.abc import Sequence

from castalia.records import LicenceEvidence, StatedLicence
from castalia.web.licences import files_evidence
from castalia.web.service import Web
from castalia.web.urls import canonical_url, folder_of, site_root
from castalia.web.worker import call_limited

_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_PART_FILES = ("LICENSE-docs", "LICENSE-DOCS", "LICENSE-code", "LICENSE-CODE")
"""Asked for where one of the others is."""


class SiteEvidence:
    """Evidence by site, read once for each."""

    def __init__(self, web: Web, named: Sequence[str], stated: Sequence[StatedLicence]) -> None:
        self._web = web
        self._named = named
        self._stated = stated
        self._known: dict[str, asyncio.Task[list[LicenceEvidence]]] = {}

    async def of(self, site: str, url: str) -> tuple[LicenceEvidence, ...]:
        """What holds for the page at `url` of `site`."""
        place = folder_of(site)
        if place not in self._known:
            self._known[place] = asyncio.create_task(self._read(site))  # for all who ask meanwhile
        stated = (_as_evidence(statement) for statement in self._stated if url.startswith(statement.url))
        return (*await asyncio.shield(self._known[place]), *stated)

    async def close(self) -> None:
        """Stops what is still being read."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    async def _read(self, site: str) -> list[LicenceEvidence]:
        """Conventional files say something only where they are no page; a file that the user names may be one."""
        folders = tuple(dict.fromkeys((site_root(site), folder_of(site))))
        named = [url for name in self._named if (url := canonical_url(name, site))]
        found: dict[str, str] = {}
        for folder, names in [("", named), *((folder, _LICENCE_FILES) for folder in folders)]:
            before = len(found)
            for url in (f"{folder}{name}" for name in names):
                if url not in found and (text := await self._text(url, may_be_page=not folder)):
                    found[url] = text
            if folder and len(found) > before:  # files for a part of the site lie beside one for all of it
                parts = {url: text for name in _PART_FILES if (text := await self._text(url := f"{folder}{name}"))}
                found.update((url, text) for url, text in parts.items() if url not in found)
        return files_evidence(found)

    async def _text(self, url: str, *, may_be_page: bool = False) -> str:
        """The text of a file; empty where there is none."""
        fetched = await self._web.fetch(url)
        if fetched.problem or (fetched.media_type == "text/html" and not may_be_page):
            return ""
        text = self._web.text(fetched)
        if fetched.media_type == "text/html":
            text = (await asyncio.to_thread(call_limited, "castalia.stages.collect.lines:visible_lines", text)).value or ""
        return text


def _as_evidence(stated: StatedLicence) -> LicenceEvidence:
    sentence = f"stated by configuration: {stated.reason}"[:300]
    return LicenceEvidence(spdx=stated.spdx, url=stated.url, place="configuration", scope="site", sentence=sentence)
