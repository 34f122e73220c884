"""Requests to a vendor's batch API: repeated freely where that is harmless, and what isn't the vendor's object is no answer."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from castalia.errors import OracleError, OracleRefused
from castalia.oracle.providers.base import HttpProvider
from castalia.oracle.providers.batch_apis import BatchApi, read_object
from castalia.oracle.redact import Redactor
from castalia.oracle.transport import BODY_LIMIT, HttpReply, Lost, NoSuchFile, Transport, Unsent

MOST_TRIES = 5
BACKOFF_SECONDS = 0.5
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Account:
    """Where batches go, and with which key."""

    provider: HttpProvider
    key: str | None
    api: BatchApi = field(compare=False)

    @property
    def names(self) -> tuple[str, str, str]:
        """(provider, address, fingerprint of the key), as the ledger has them."""
        return self.provider.name, self.provider.base_url, hashlib.sha256((self.key or "").encode()).hexdigest()[:16]


class Gone(Exception):
    """The vendor doesn't have what was asked for; it deletes batches and results after some weeks."""


class BatchWire:
    """Requests of one client."""

    def __init__(self, transport: Transport, redactor: Redactor):
        self._transport = transport
        self._redactor = redactor

    async def call(
        self, account: Account, method: str, path: str, body: bytes | None = None, kind: str = "", *, has: str
    ) -> dict[str, Any]:
        """A request that may be repeated; its answer has a field `has`. Raises OracleRefused, or OracleError after some tries."""
        try:
            return await self.look(account, method, path, body, kind, has=has)
        except Gone as error:
            raise self._refused(account, method, path, str(error)) from error

    async def look(
        self, account: Account, method: str, path: str, body: bytes | None = None, kind: str = "", *, has: str
    ) -> dict[str, Any]:
        """The same for something that may have been deleted meanwhile: raises Gone for 404 and 410."""
        words = ""
        for attempt in range(MOST_TRIES):
            try:
                reply = await self.send(account, method, path, body, kind)
                if 200 <= reply.status < 300:
                    return read_object(reply.raw, has)
                words = self.words(reply)
                if reply.status in (404, 410):
                    raise Gone(words)
                if reply.status != 429 and reply.status < 500 and reply.status != 408:
                    raise self._refused(account, method, path, words)
            except (Lost, Unsent, ValueError) as error:
                words = f"{type(error).__name__}: {error}"
            await pause(attempt)
        raise OracleError(
            f"{account.provider.base_url}{path.partition('?')[0]} did not answer after {MOST_TRIES} tries; last: "
            f"{self._redactor.error(words)}. Run the same command again later"
        )

    async def send(self, account: Account, method: str, path: str, body: bytes | None, kind: str) -> HttpReply:
        """One request, once. Raises Lost or Unsent."""
        headers = {**account.provider.headers(account.key), **({"Content-Type": kind} if kind else {})}
        return await self._transport.request(account.provider, method, path, body, headers)

    async def lines(self, account: Account, path: str) -> AsyncIterator[bytes]:
        """The lines of a file as they come, without their ends. Raises Lost, Unsent, or Gone."""
        rest = b""
        is_first = True
        try:
            async for part in self._transport.download(account.provider, path, account.provider.headers(account.key)):
                *whole, rest = (rest + part).split(b"\n")
                if len(rest) > BODY_LIMIT:
                    raise OracleError(f"a line of {path} is longer than {BODY_LIMIT // 2**20} MiB; these are no batch results")
                for line in whole:
                    found = (line.removeprefix(BOM) if is_first else line).strip()
                    is_first = False
                    if found:
                        yield found
        except NoSuchFile as error:
            raise Gone(str(error)) from error
        if rest.strip():
            yield (rest.removeprefix(BOM) if is_first else rest).strip()

    def words(self, reply: HttpReply) -> str:
        """What a refusal says, without secrets."""
        return self._redactor.error(f"HTTP {reply.status}: {reply.raw[:500].decode('utf-8', 'replace')}")

    @staticmethod
    def _refused(account: Account, method: str, path: str, words: str) -> OracleRefused:
        return OracleRefused(
            f"{account.provider.name} at {account.provider.base_url} refused {method} {path.partition('?')[0]}: {words}. "
            f"Check the key and `base_url`, then run again"
        )


async def pause(attempt: int) -> None:
    """Waits between two tries, with full jitter; not after the last."""
    if attempt < MOST_TRIES - 1:
        await asyncio.sleep(random.uniform(0, BACKOFF_SECONDS * 2**attempt))
