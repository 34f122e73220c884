# pyright: basic
"""The policy: an allowlist of SPDX ids, and what it makes of an SPDX expression."""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from license_expression import ExpressionError, LicenseSymbol, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

from castalia.errors import ConfigError
from castalia.web.prescan import word_set

PERMISSIVE = (
    *("MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0", "PostgreSQL", "Zlib", "BSL-1.0", "Unlicense", "NCSA"),
    *("PSF-2.0", "X11", "CC0-1.0", "PDDL-1.0", "CC-PDDC", "BlueOak-1.0.0", "Unicode-3.0", "UPL-1.0", "WTFPL", "ODC-By-1.0"),
    *("CC-BY-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-2.5-AU", "CC-BY-3.0", "CC-BY-3.0-AT", "CC-BY-3.0-AU", "CC-BY-3.0-DE", "CC-BY-3.0-IGO"),
    *(
        "CC-BY-3.0-NL",
        "CC-BY-3.0-US",
        "CC-BY-4.0",
        "OGL-UK-1.0",
        "OGL-UK-2.0",
        "OGL-UK-3.0",
        "OGL-Canada-2.0",
        "LicenseRef-scancode-public-domain",
    ),
)
_VERSIONS = {
    "CC-BY": ("1.0", "2.0", "2.5", "3.0", "4.0"), "CC-BY-SA": ("1.0", "2.0", "2.5", "3.0", "4.0"), "CC-BY-NC": ("1.0", "2.0", "2.5", "3.0", "4.0"),
    "CC-BY-ND": ("1.0", "2.0", "2.5", "3.0", "4.0"), "CC-BY-NC-SA": ("1.0", "2.0", "2.5", "3.0", "4.0"),
    "CC-BY-NC-ND": ("1.0", "2.0", "2.5", "3.0", "4.0"), "GFDL": ("1.1-only", "1.2-only", "1.3-only"), "OGL-UK": ("1.0", "2.0", "3.0"),
    "GPL": ("1.0-only", "2.0-only", "3.0-only"), "LGPL": ("2.0-only", "2.1-only", "3.0-only"), "AGPL": ("1.0-only", "3.0-only"),
    "Apache": ("1.0", "1.1", "2.0"), "EPL": ("1.0", "2.0"),
}  # fmt: skip
"""Every version of the families that are often named without one."""
_WITHOUT_ID = word_set("LicenseRef-scancode-public-domain")


class Policy(NamedTuple):
    """The SPDX ids that are allowed."""

    allowed: frozenset[str]

    @classmethod
    def named(cls, name: str | Sequence[str]) -> "Policy":
        """`permissive`, or a list of SPDX ids. Raises ConfigError for an id that SPDX doesn't know."""
        if name == "permissive":
            return cls(frozenset(PERMISSIVE))
        ids = [name] if isinstance(name, str) else list(name)
        unknown = [spdx for spdx in ids if spdx not in _licensing().known_symbols and spdx not in _WITHOUT_ID]
        if unknown:
            raise ConfigError(f"licences {unknown!r}: SPDX knows no such id; write 'permissive' or SPDX ids such as 'MIT' or 'CC-BY-4.0'")
        return cls(frozenset(ids))

    def allows(self, expression: str) -> bool:
        """Whether the SPDX expression can be used: one side of an OR, both sides of an AND.

        Deprecated ids (`GPL-3.0`, `GPL-3.0+`) count as the ids that replaced them, and `X-or-later` as allowed where X alone is: one
        may use it under X. A family without a version needs all its versions allowed, a port that SPDX has no id for its international
        licence.
        """
        try:
            return self._holds(_licensing().parse(expression, validate=False, simple=False))
        except ExpressionError:
            return False

    def _holds(self, node: object) -> bool:
        if isinstance(node, LicenseWithExceptionSymbol):
            return self._has(node.license_symbol.key)
        if isinstance(node, LicenseSymbol):
            return self._has(node.key)
        operands = getattr(node, "args", ())
        if isinstance(node, _licensing().OR):
            return any(self._holds(operand) for operand in operands)
        return bool(operands) and all(self._holds(operand) for operand in operands)

    def _has(self, spdx: str) -> bool:
        if spdx in self.allowed or (spdx.endswith("-or-later") and spdx.replace("-or-later", "-only") in self.allowed):
            return True
        family = spdx.removeprefix("LicenseRef-")
        if family == spdx:
            return False
        if family in _VERSIONS:
            return all(f"{family}-{version}" in self.allowed for version in _VERSIONS[family])
        port = re.fullmatch(r"(CC-BY[A-Z-]*-\d\.\d)-[A-Z]{2,3}", family)
        return bool(port) and port[1] in self.allowed


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()
