"""Proxies and private certificate authorities, through the usual environment variables, on loopback."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from oracle_cases import Point, client, role, task

from castalia.errors import ConfigError, OracleError
from castalia.oracle.scripted import scripted_server

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate authority with openssl")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.exchange.BACKOFF_SECONDS", 0.001)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def proxy(target: int, seen: list[str], status: int = 200) -> AsyncGenerator[int]:
    """A proxy that carries everything to one port and notes the first line of every connection."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split(b"\r\n")[0].decode())
        if status != 200:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", target)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            there.write(head)
        await asyncio.gather(pump(reader, there), pump(there_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def authority(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """(server context, CA file) of a fresh authority with a certificate for `name`."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-subj", f"/CN={name}")
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
    openssl(
        "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "cert.pem", "-days", "2", "-extfile", "names"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "ca.pem"


def test_calls_go_through_the_proxy_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        seen: list[str] = []
        async with scripted_server() as server, proxy(server.port, seen) as port:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            async with client(tmp_path, role("http://models.test/v1")) as oracle:
                assert (await oracle.ask("writer", "S", "U", Point, task=task("s"))).value == Point(x=1)
            assert seen == ["POST http://models.test/v1/chat/completions HTTP/1.1"]

    asyncio.run(run())


def test_servers_on_this_machine_and_those_of_no_proxy_are_asked_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        seen: list[str] = []
        async with scripted_server() as server, proxy(server.port, seen) as port:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            async with client(tmp_path, role(server.openai)) as oracle:
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
            monkeypatch.setenv("NO_PROXY", "models.invalid")
            async with client(tmp_path, role("http://models.invalid/v1")) as oracle:
                with pytest.raises(OracleError, match=r"models\.invalid"):
                    await oracle.ask("writer", "S", "U", Point, task=task("s"))
            assert seen == []

    asyncio.run(run())


@needs_openssl
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_through_a_proxy_only_where_the_environment_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    context, bundle = authority(tmp_path, "models.test")

    async def run() -> None:
        seen: list[str] = []
        async with scripted_server(tls=context) as server, proxy(server.port, seen) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            async with client(tmp_path, role("https://models.test/v1"), budget_usd=1.0) as oracle:
                with pytest.raises(OracleError, match=r"(?i)certificate"):
                    await oracle.ask("writer", "S", "U", Point, task=task("s"))
                assert sum(oracle.ledger.money()) == 0
            monkeypatch.setenv(variable, str(bundle))
            async with client(tmp_path, role("https://models.test/v1"), budget_usd=1.0) as oracle:
                assert (await oracle.ask("writer", "S", "U", Point, task=task("s"))).value == Point(x=1)
            assert set(seen) == {"CONNECT models.test:443 HTTP/1.1"}
            assert server.count == 1

    asyncio.run(run())


@needs_openssl
def test_a_proxy_that_lets_nothing_through_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with proxy(9, [], status=407) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            async with client(tmp_path, role("https://models.test/v1"), budget_usd=1.0) as oracle:
                with pytest.raises(OracleError, match="407"):
                    await oracle.ask("writer", "S", "U", Point, task=task("s"))
                assert sum(oracle.ledger.money()) == 0

    asyncio.run(run())


def test_a_bundle_that_is_none_is_named_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bundle.pem"
    bad.write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bad))

    async def run() -> None:
        async with scripted_server() as server, client(tmp_path, role(server.openai)) as oracle:
            with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE"):
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
            assert (server.count, oracle.ledger.counts(), sum(oracle.ledger.money())) == (0, {}, 0)

    asyncio.run(run())
