"""Secrets never enter the ledger: the values of the configured keys, and whatever looks like a key in an error message."""

import re
from collections.abc import Iterable

MASK = "[redacted]"
_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|key|pk|rk)-[A-Za-z0-9_*\-]{8,}|\bBearer\s+\S{8,}")


class Redactor:
    """Knows the secrets of one client."""

    def __init__(self, secrets: Iterable[str]):
        # Very short values would mask ordinary words, and aren't keys.
        self._secrets = tuple(sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True))

    def text(self, value: str) -> str:
        """`value` without the known secrets."""
        for secret in self._secrets:
            value = value.replace(secret, MASK)
        return value

    def raw(self, value: bytes) -> bytes:
        """`value` without the known secrets; the same object when it has none, so answers stay byte for byte."""
        for secret in self._secrets:
            if secret.encode() in value:
                value = value.replace(secret.encode(), MASK.encode())
        return value

    def error(self, value: str) -> str:
        """A provider's error text, without known secrets and without anything shaped like one."""
        return _LOOKS_LIKE_A_KEY.sub(MASK, self.text(value))
