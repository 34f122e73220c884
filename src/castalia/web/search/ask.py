"""Asking the API of a search vendor: bounded, patient with 429, strict about the shape of what comes.

The address is configuration, so it may be a private one. Redirects are not followed: a key goes only where it was meant for.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import aiohttp

from castalia.errors import ConfigError, SearchFailed

_SECONDS = 30.0
_MOST_BYTES = 5_000_000
_ATTEMPTS = 4
_LONGEST_PAUSE = 60.0
_PASSING = frozenset({429, 500, 502, 503, 504})


class Vendor:
    """One vendor's API. `name` is what messages call it; `headers` go with every request."""

    def __init__(self, name: str, base_url: str, headers: Mapping[str, str]) -> None:
        self.name = name
        self._base = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", **headers}
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str | int]) -> dict[str, Any]:
        """The JSON object that a GET answers."""
        return await self._ask("GET", path, params, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that a POST of JSON answers."""
        return await self._ask("POST", path, None, body)

    async def close(self) -> None:
        """Closes connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, params: Mapping[str, str | int] | None, body: Mapping[str, Any] | None) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_SECONDS), headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        trouble = ""
        for attempt in range(_ATTEMPTS):
            try:
                async with self._session.request(method, self._base + path, params=params, json=body, allow_redirects=False) as response:
                    data = await response.content.read(_MOST_BYTES)
                    while len(data) < _MOST_BYTES and (more := await response.content.read(_MOST_BYTES - len(data))):
                        data += more
                    status, after = response.status, response.headers.get("retry-after", "")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble, after = f"{type(error).__name__}: {error}"[:200], ""
            else:
                if status == 200:
                    return self._object(data)
                trouble = f"status {status}: {data[:200].decode('utf-8', 'replace')}"
                if status in (401, 403):
                    raise ConfigError(
                        f"search provider {self.name!r} refused access ({trouble}); check its key and what its plan or settings allow"
                    )
                if status not in _PASSING:
                    raise SearchFailed(f"search provider {self.name!r} refused the request ({trouble})")
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(min(float(after) if after.isdecimal() else 2.0**attempt, _LONGEST_PAUSE))
        raise SearchFailed(f"search provider {self.name!r} gave no answer in {_ATTEMPTS} attempts ({trouble}); run again later")

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise SearchFailed(f"search provider {self.name!r} answered {data[:80]!r}, which is no JSON object; its API may have changed")
        return cast(dict[str, Any], value)


def entries(vendor: str, answer: Mapping[str, Any], *path: str) -> list[dict[str, Any]]:
    """The list of objects at `path` of an answer. Raises SearchFailed, naming the path, when there is none: the API has changed."""
    value: Any = answer
    for key in path:
        value = cast(dict[str, Any], value).get(key) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast(list[Any], value)):
        raise SearchFailed(f"search provider {vendor!r} answered without a list {'.'.join(path)!r}; its API may have changed")
    return cast(list[dict[str, Any]], value)


def address(vendor: str, entry: Mapping[str, Any]) -> str:
    """The `url` of a result. Raises SearchFailed when it has none."""
    url = entry.get("url")
    if not isinstance(url, str):
        raise SearchFailed(f"search provider {vendor!r} gave a result without a 'url'; its API may have changed")
    return url
