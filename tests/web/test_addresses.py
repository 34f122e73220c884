import asyncio
import ipaddress
import socket

import pytest

from castalia.errors import ConfigError
from castalia.web.addresses import CheckedResolver, ForbiddenAddress, check_literal, is_allowed, parse_networks


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"),
        *(
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ),
        *("::127.0.0.1", "ff02::1", "64:ff9b:1::1"),
    ],
)
def test_addresses_that_are_not_global_in_any_form_are_refused(address: str):
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"])
def test_global_addresses_are_allowed(address: str):
    assert is_allowed(ipaddress.ip_address(address), ())


def test_a_private_range_is_allowed_when_the_configuration_names_it():
    networks = parse_networks(["10.0.0.0/8"])
    assert is_allowed(ipaddress.ip_address("10.1.2.3"), networks)
    assert not is_allowed(ipaddress.ip_address("127.0.0.1"), networks)


def test_a_range_that_is_none_is_a_configuration_error():
    with pytest.raises(ConfigError, match="is no network"):
        parse_networks(["10.0.0.0/40"])


def test_literals_are_checked_without_a_look_up():
    with pytest.raises(ForbiddenAddress):
        check_literal("[::1]", ())


def test_one_forbidden_address_among_many_refuses_the_name(monkeypatch: pytest.MonkeyPatch):
    async def fake(*_args: object, **_more: object):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80)) for text in ("93.184.215.14", "127.0.0.1")]

    async def resolve():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fake)
        return await CheckedResolver((), {}).resolve("rebinding.example", 80)

    with pytest.raises(ForbiddenAddress, match=r"127\.0\.0\.1"):
        asyncio.run(resolve())


def test_a_host_of_connect_to_goes_where_it_says():
    async def resolve():
        return await CheckedResolver((), {"site.localhost": "127.0.0.1:8123"}).resolve("site.localhost", 80)

    (result,) = asyncio.run(resolve())
    assert (result["host"], result["port"]) == ("127.0.0.1", 8123)


def test_a_target_of_connect_to_must_be_address_and_port():
    with pytest.raises(ConfigError, match="ADDRESS:PORT"):
        CheckedResolver((), {"site.localhost": "localhost"})
