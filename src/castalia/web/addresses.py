"""Which network addresses may be contacted: global ones, and private ranges only where the configuration names them.

Names are resolved here and the connection goes to exactly the addresses that were checked (no second look-up that could
answer differently); the socket checks its address once more when it is made. Addresses that carry another one inside
(IPv4-mapped, IPv4-translated, NAT64, 6to4, Teredo, ISATAP) count as what they carry. A redirect never leads from the public
web into a named private range.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from castalia.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")  # RFC 2765
_NEVER = (
    ipaddress.IPv6Network("fec0::/10"),  # site-local, RFC 3879
    ipaddress.IPv4Network("192.88.99.0/24"),  # relays of 6to4, RFC 7526
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
CONTACTED: ContextVar[list[tuple[str, int]]] = ContextVar("contacted")
"""Addresses that the sockets of the request under way were made for."""
_PUBLIC_ONLY: ContextVar[bool] = ContextVar("public_only", default=False)

_BLOCKED_PORTS = (
    "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 137 139 143 161 "
    "179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 "
    "5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080"
)
FORBIDDEN_PORTS = frozenset(map(int, _BLOCKED_PORTS.split()))
"""Ports no browser talks HTTP to (WHATWG Fetch, "port blocking"): a link could otherwise make us speak to mail, chat or shell servers."""


class ForbiddenAddress(OSError):
    """A name or an address literal leads to a network that must not be contacted."""


def parse_networks(ranges: Sequence[str]) -> tuple[Network, ...]:
    """Networks named in the configuration. Raises ConfigError for what is none."""
    try:
        return tuple(ipaddress.ip_network(text) for text in ranges)
    except ValueError as error:
        raise ConfigError(f"private ranges {list(ranges)!r} hold something that is no network: {error}; write e.g. '10.0.0.0/8'") from error


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether `address` is global in every form it carries, or lies in a named range."""
    if any(address.version == network.version and address in network for network in allowed):
        return True
    carried = _carried(address)
    if carried is not None:
        return is_allowed(carried, allowed)
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback)


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _TRANSLATED or (int(address) >> 32 == 0 and int(address) > 1):  # also the deprecated ::a.b.c.d
        return low
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return low
    return None


def check_literal(host: str, allowed: Sequence[Network]) -> bool:
    """Whether `host` is an address literal. Raises ForbiddenAddress for one that must not be contacted; names are resolved later."""
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        return False
    if not is_allowed(address, () if _PUBLIC_ONLY.get() else allowed):
        raise ForbiddenAddress(f"{address} is not a global address; name its range in execution.allow_private if it is meant")
    return True


@contextmanager
def public_only(only: bool) -> Generator[None]:
    """Inside, neither named ranges nor `connect_to` count: where a redirect of a public host leads must be public, too."""
    token = _PUBLIC_ONLY.set(only)
    try:
        yield
    finally:
        _PUBLIC_ONLY.reset(token)


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp and refuses every address that isn't allowed.

    `connect_to` sends a host elsewhere, as curl's option of that name does: `{"mako.localhost": "127.0.0.1:8123"}`.
    It is configuration, so its targets need no other permission.
    """

    def __init__(self, allowed: Sequence[Network], connect_to: Mapping[str, str]) -> None:
        self._allowed = tuple(allowed)
        self._connect_to = {host: _split_target(host, target) for host, target in connect_to.items()}
        self._targets = frozenset(self._connect_to.values())

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Addresses of `host`, all of them checked: one forbidden address among them refuses the name."""
        if host in self._connect_to:
            if _PUBLIC_ONLY.get():
                raise ForbiddenAddress(f"{host} is a host of execution.connect_to; a redirect of a public host must not lead there")
            address, to_port = self._connect_to[host]
            return [_result(host, address, to_port)]
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = sorted({str(info[4][0]).split("%")[0] for info in infos})
        allowed = () if _PUBLIC_ONLY.get() else self._allowed
        for text in addresses:
            if not is_allowed(ipaddress.ip_address(text), allowed):
                raise ForbiddenAddress(f"{host} resolves to {text}, which is not a global address")
        return [_result(host, text, port) for text in addresses]

    def replaces(self, host: str) -> bool:
        """Whether `connect_to` names this host."""
        return host in self._connect_to

    def check_peer(self, address: str, port: int) -> None:
        """The last guard, beside the socket. Raises ForbiddenAddress unless `address` may be contacted."""
        if (address, port) not in self._targets and not is_allowed(ipaddress.ip_address(address.split("%")[0]), self._allowed):
            raise ForbiddenAddress(f"the connection would go to {address}, which is not a global address")

    def is_public(self, address: str, port: int) -> bool:
        """Whether an address is one of the public web, not one that the configuration permits."""
        return (address, port) not in self._targets and is_allowed(ipaddress.ip_address(address.split("%")[0]), ())

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address as getaddrinfo gives it, made only when the address passes the check."""
        family, kind, protocol, _, place = info
        self.check_peer(str(place[0]), int(place[1]))
        CONTACTED.get().append((str(place[0]), int(place[1])))
        return socket.socket(family=family, type=kind, proto=protocol)

    async def close(self) -> None:
        """Nothing is held."""


def _split_target(host: str, target: str) -> tuple[str, int]:
    address, _, port = target.rpartition(":")
    try:
        ipaddress.ip_address(address.strip("[]"))
        return address.strip("[]"), int(port)
    except ValueError as error:
        raise ConfigError(f"connect_to {host!r}: {target!r} is no ADDRESS:PORT; write e.g. '127.0.0.1:8000'") from error


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
