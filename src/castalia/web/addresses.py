"""Which network addresses may be contacted: global ones, and private ranges only where the configuration names them.

Names are resolved here and the connection goes to exactly the addresses that were checked (no second look-up that could
answer differently). Addresses that carry another one inside (IPv4-mapped, NAT64, 6to4, Teredo) count as what they carry.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from castalia.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


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
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback)


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # also the deprecated ::a.b.c.d
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return None


def check_literal(host: str, allowed: Sequence[Network]) -> None:
    """Raises ForbiddenAddress when `host` is an address literal that must not be contacted. Names pass: they are resolved later."""
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        return
    if not is_allowed(address, allowed):
        raise ForbiddenAddress(f"{address} is not a global address; name its range in execution.allow_private if it is meant")


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp and refuses every address that isn't allowed.

    `connect_to` sends a host elsewhere, as curl's option of that name does: `{"mako.localhost": "127.0.0.1:8123"}`.
    It is configuration, so its targets need no other permission.
    """

    def __init__(self, allowed: Sequence[Network], connect_to: Mapping[str, str]) -> None:
        self._allowed = tuple(allowed)
        self._connect_to = {host: _split_target(host, target) for host, target in connect_to.items()}

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Addresses of `host`, all of them checked: one forbidden address among them refuses the name."""
        if host in self._connect_to:
            address, to_port = self._connect_to[host]
            return [_result(host, address, to_port)]
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = sorted({str(info[4][0]).split("%")[0] for info in infos})
        for text in addresses:
            if not is_allowed(ipaddress.ip_address(text), self._allowed):
                raise ForbiddenAddress(f"{host} resolves to {text}, which is not a global address")
        return [_result(host, text, port) for text in addresses]

    def replaces(self, host: str) -> bool:
        """Whether `connect_to` names this host."""
        return host in self._connect_to

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
