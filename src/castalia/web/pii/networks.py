"""Addresses of machines: IPv4, IPv6, MAC."""

import ipaddress
import re
from collections.abc import Iterator

from castalia.web.pii.cues import ADDRESS_BEFORE, VERSION_BEFORE, before
from castalia.web.pii.spans import Span, matches

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?![\w:]|\.\d)")
_MAC = re.compile(
    r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:-]|\.\w)"
)
_PUBLIC_RESOLVERS = frozenset(["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"])


def network_addresses(text: str, start: int, end: int) -> Iterator[Span]:
    """Addresses of a part of a text. Of private and documentation networks too, as `reserved`."""
    for found in matches(_IPV4, text, start, end):
        try:
            address = ipaddress.IPv4Address(found[0])
        except ValueError:
            continue
        reserved = not address.is_global or address.is_multicast or found[0] in _PUBLIC_RESOLVERS
        if not _is_version(before(text, found.start(), 60), address):
            yield Span(found.start(), found.end(), "IP", found[0], False, reserved)
    for found in matches(_IPV6, text, start, end):
        if found[0].count(":") >= 2 and _is_ipv6(found[0]):
            address = ipaddress.IPv6Address(found[0])
            yield Span(found.start(), found.end(), "IP", found[0], False, not address.is_global or int(address) >> 125 != 1)
    for found in matches(_MAC, text, start, end):
        value = re.sub(r"\W", "", found[0]).lower()
        if len(set(value)) > 3 and not (value.isdigit() and "." in found[0]):
            reserved = value.startswith(("00005e00", "01005e"))  # RFC 7042, 2.1.2
            yield Span(found.start(), found.end(), "MAC", found[0], False, reserved)


def _is_version(front: str, address: ipaddress.IPv4Address) -> bool:
    if VERSION_BEFORE.search(front):
        return True
    return all(part < 40 for part in address.packed) and not address.is_private and not ADDRESS_BEFORE.search(front)


def _is_ipv6(value: str) -> bool:
    """Eight groups, or a shortened address of a range that is in use: `a::b` is also a name in a program."""
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    if value.count(":") == 7 and "::" not in value:
        return len(value) > 20
    used = int(address) >> 125 == 1 or address.is_link_local or int(address) >> 121 == 0x7E
    return used and value.count(":") >= 3
