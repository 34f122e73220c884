"""What the hostile servers answer, by name: each is a host of its own, and the name says what is wrong with it."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Mapping

import brotli

_BIG = 100_000_000  # bytes that a bomb unpacks to
_HTML = b"<!doctype html><html><head><title>A page</title></head><body><p>Some words of a page.</p></body></html>"
_ROBOTS = b"User-agent: *\nDisallow: /private\n"

# (scheme, outcomes that are right). An empty one is a page that may be used; what it holds is for the parser, in its own limits.
CASES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "good": ("http", ("",)),
    "gzip-bomb": ("http", ("too-large",)),
    "deflate-bomb": ("http", ("too-large",)),
    "brotli-bomb": ("http", ("too-large",)),
    "zstd-bomb": ("http", ("bad-encoding",)),
    "nested-gzip": ("http", ("bad-encoding",)),
    "many-members": ("http", ("bad-encoding", "too-large")),
    "cut-gzip": ("http", ("incomplete-body",)),
    "gzip-lie": ("http", ("bad-encoding",)),
    "gzip-junk-behind": ("http", ("",)),
    "redirect-loop": ("http", ("redirect-loop",)),
    "redirect-endless": ("http", ("redirect-loop",)),
    "redirect-nowhere": ("http", ("status", "redirect-loop")),
    "redirect-two": ("http", ("redirect-loop",)),
    "drip-head": ("http", ("timeout",)),
    "drip-body": ("http", ("timeout",)),
    "silent": ("http", ("timeout",)),
    "short-body": ("http", ("incomplete-body",)),
    "long-length": ("http", ("incomplete-body", "timeout")),
    "small-length": ("http", ("", "bad-response")),
    "negative-length": ("http", ("bad-response",)),
    "two-lengths": ("http", ("bad-response",)),
    "word-length": ("http", ("bad-response",)),
    "length-and-chunks": ("http", ("bad-response", "")),
    "long-header": ("http", ("bad-response",)),
    "long-status": ("http", ("bad-response",)),
    "many-headers": ("http", ("bad-response",)),
    "endless-headers": ("http", ("bad-response", "timeout")),
    "bad-header": ("http", ("bad-response",)),
    "nul-header": ("http", ("bad-response",)),
    "endless-chunks": ("http", ("too-large",)),
    "tiny-chunks": ("http", ("too-large", "timeout")),
    "bad-chunk": ("http", ("incomplete-body", "bad-response")),
    "huge-chunk": ("http", ("incomplete-body", "bad-response")),
    "negative-chunk": ("http", ("incomplete-body", "bad-response")),
    "cut-chunk": ("http", ("incomplete-body",)),
    "endless-trailer": ("http", ("incomplete-body", "bad-response", "timeout")),
    "endless-body": ("http", ("too-large",)),
    "wrong-charset": ("http", ("",)),
    "no-charset": ("http", ("",)),
    "binary-html": ("http", ("not-html",)),
    "empty": ("http", ("empty-body",)),
    "blank": ("http", ("empty-body",)),
    "reset": ("http", ("incomplete-body", "unreachable")),
    "reset-at-once": ("http", ("unreachable",)),
    "http09": ("http", ("bad-response",)),
    "garbage": ("http", ("bad-response",)),
    "ssh": ("http", ("bad-response",)),
    "tls-on-plain": ("http", ("bad-response",)),
    "plain-on-tls": ("https", ("unreachable", "bad-response")),
    "poison": ("http", ("",)),
    "flood-1xx": ("http", ("timeout", "bad-response")),
    "switching": ("http", ("status", "bad-response", "unreachable", "incomplete-body")),
    "status-999": ("http", ("status", "bad-response")),
    "status-0": ("http", ("status", "bad-response")),
    "partial": ("http", ("status",)),
    "not-modified": ("http", ("status",)),
    "auth": ("http", ("status", "block-page")),
    "challenge": ("http", ("block-page",)),
    "later": ("http", ("status",)),
    "absurd-later": ("http", ("status",)),
    "bad-later": ("http", ("status",)),
    "noai": ("http", ("opt-out",)),
    "cookies": ("http", ("",)),
    "odd-bytes": ("http", ("", "bad-response")),
    "robots-huge": ("http", ("",)),
    "robots-html": ("http", ("",)),
    "robots-loop": ("http", ("robots",)),
    "robots-slow": ("http", ("robots",)),
    "robots-500": ("http", ("robots",)),
    "robots-reset": ("http", ("robots",)),
    "robots-bomb": ("http", ("",)),
    "robots-garbage": ("http", ("robots",)),
    "robots-429": ("http", ("robots",)),
    "robots-regex": ("http", ("",)),
    "robots-to-private": ("http", ("private-address", "robots")),
    "to-metadata": ("http", ("private-address",)),
    "to-loopback": ("http", ("private-address",)),
    "to-loopback-v6": ("http", ("private-address",)),
    "to-mapped": ("http", ("private-address",)),
    "to-decimal": ("http", ("private-address",)),
    "to-file": ("http", ("status",)),
    "to-gopher": ("http", ("status",)),
    "to-data": ("http", ("status",)),
    "to-javascript": ("http", ("status",)),
    "to-userinfo": ("http", ("status",)),
    "to-port": ("http", ("forbidden-port", "private-address")),
    "to-private-name": ("http", ("private-address",)),
    "to-backslash": ("http", ("private-address",)),
    "to-many": ("http", ("private-address", "status")),
    "refresh": ("http", ("",)),
}

# Addresses that lead where nobody may go. CANARY is the port of a listener on loopback.
SSRF: Mapping[str, tuple[str, ...]] = {
    **{
        f"http://{host}/": ("private-address",)
        for host in (
            "127.0.0.1:CANARY",
            "127.1:CANARY",
            "2130706433:CANARY",
            "0x7f000001:CANARY",
            "0177.0.0.1:CANARY",
            "0x7f.0.0x0.1:CANARY",
            "127.000.000.001:CANARY",
            "１２７.0.0.1:CANARY",
            "127。0。0。1:CANARY",
            "0.0.0.0:CANARY",
            "0:CANARY",
            "[::1]:CANARY",
            "[::]:CANARY",
            "[::ffff:127.0.0.1]:CANARY",
            "[::ffff:7f00:1]:CANARY",
            "[0:0:0:0:0:ffff:7f00:0001]:CANARY",
            "[::127.0.0.1]:CANARY",
            "[::ffff:0:127.0.0.1]:CANARY",
            "[64:ff9b::7f00:1]:CANARY",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::7f00:1]:CANARY",
            "[2002:7f00:1::]:CANARY",
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]:CANARY",
            "[fe80::5efe:7f00:1]:CANARY",
            "[2606:4700::5efe:7f00:1]:CANARY",
            "[fc00::1]",
            "[fec0::1]",
            "[fe80::1]",
            "[ff02::1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "198.18.0.1",
            "192.0.0.1",
            "192.88.99.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "loop.twisted.test:CANARY",
            "loop6.twisted.test:CANARY",
            "metadata.twisted.test",
            "mapped.twisted.test:CANARY",
            "rebinding.twisted.test:CANARY",
        )
    },
    "http://localhost:CANARY/": ("unreachable", "private-address"),
    "http://localhost.:CANARY/": ("unreachable", "private-address"),
    "http://loc%61lhost:CANARY/": ("unreachable", "private-address"),
    "http://ⓛocalhost:CANARY/": ("unreachable", "private-address"),
    "http://late.twisted.test:CANARY/": ("private-address", "unreachable"),
    "http://user:word@127.0.0.1:CANARY/": ("bad-url",),
    "http://good.bad.test@127.0.0.1:CANARY/": ("bad-url",),
    "http://127.0.0.1:CANARY\\@good.bad.test/": ("private-address",),
    "http://127.0.0.1:CANARY#@good.bad.test/": ("private-address",),
    "http://[fe80::1%25lo]/": ("bad-url", "private-address"),
    "http://[::1%25lo]:CANARY/": ("bad-url", "private-address"),
    "http://127.0.0.1:22/": ("private-address", "forbidden-port"),
    "http://late.twisted.test:25/": ("forbidden-port", "private-address"),
    "file:///etc/passwd": ("bad-url",),
    "ftp://127.0.0.1/": ("bad-url",),
    "gopher://127.0.0.1:CANARY/_x": ("bad-url",),
    "data:text/html,x": ("bad-url",),
    "//127.0.0.1:CANARY/": ("bad-url",),
    "http:///": ("bad-url",),
    "http://": ("bad-url",),
    "http://a b/": ("bad-url",),
    "http://xn--/": ("bad-url", "unreachable", "robots"),
    "http://gооd.bad.test/": ("unreachable",),  # with Cyrillic letters: another name, which doesn't exist
    "http://[::1": ("bad-url",),
    "http://127.0.0.1:99999/": ("bad-url",),
}

# What the name server says, one look-up after the other; 93.184.215.14 is an address of the public web.
TWISTED_NAMES: Mapping[str, list[str]] = {
    "loop.twisted.test": ["127.0.0.1"],
    "loop6.twisted.test": ["::1"],
    "metadata.twisted.test": ["169.254.169.254"],
    "mapped.twisted.test": ["::ffff:127.0.0.1"],
    "rebinding.twisted.test": ["127.0.0.1", "93.184.215.14"],
    "late.twisted.test": ["93.184.215.14", "127.0.0.1"],
}


async def answer(name: str, path: str, writer: asyncio.StreamWriter, canary: int) -> None:
    """Writes what host `name` answers for `path`."""
    if path == "/robots.txt" and not name.startswith("robots-"):
        return await _send(writer, b"200 OK", _ROBOTS, b"text/plain")
    if path in ("/.well-known/tdmrep.json", "/ai.txt"):
        return await _send(writer, b"404 Not Found", b"", b"text/plain")
    if name.startswith("robots-") and path == "/page":
        return await _send(writer, b"200 OK", _HTML)
    if name in _TARGETS:
        return await _redirect(writer, _TARGETS[name].replace("CANARY", str(canary)))
    return await _ANSWERS.get(name, _good)(writer, path)


_TARGETS = {
    "redirect-loop": "/page",
    "redirect-nowhere": "",
    "to-metadata": "http://169.254.169.254/latest/meta-data/",
    "to-loopback": "http://127.0.0.1:CANARY/",
    "to-loopback-v6": "http://[::1]:CANARY/",
    "to-mapped": "http://[::ffff:7f00:1]:CANARY/",
    "to-decimal": "http://2130706433:CANARY/",
    "to-file": "file:///etc/passwd",
    "to-gopher": "gopher://127.0.0.1:CANARY/_x",
    "to-data": "data:text/html,<p>x",
    "to-javascript": "javascript:alert(1)",
    "to-userinfo": "http://user:word@good.bad.test/",
    "to-port": "http://late.twisted.test:22/",
    "to-private-name": "http://loop.twisted.test:CANARY/",
    "to-backslash": "http:\\\\127.0.0.1:CANARY\\",
    "to-many": "http://127.0.0.1:CANARY/\r\nLocation: http://good.bad.test/page",
    "robots-to-private": "http://127.0.0.1:CANARY/robots.txt",
    "robots-loop": "/robots.txt",
}


async def _send(
    writer: asyncio.StreamWriter, status: bytes, body: bytes, kind: bytes = b"text/html", more: bytes = b"", length: int | None = None
) -> None:
    size = len(body) if length is None else length
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n" % (status, kind, size, more)
    await _write(writer, head + body)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _good(writer: asyncio.StreamWriter, path: str) -> None:
    await _send(writer, b"200 OK", _HTML)


async def _redirect(writer: asyncio.StreamWriter, target: str) -> None:
    await _send(writer, b"302 Found", b"", more=b"Location: %s\r\n" % target.encode())


def _bomb(window: int) -> bytes:
    press, block = zlib.compressobj(6, zlib.DEFLATED, window), bytes(1 << 20)
    return b"".join([*(press.compress(block) for _ in range(_BIG >> 20)), press.flush()])


def _brotli_bomb() -> bytes:
    return brotli.compress(bytes(_BIG), quality=3)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _body(status: bytes, body: bytes, more: bytes = b"", kind: bytes = b"text/html", length: int | None = None) -> "Answer":
    async def send(writer: asyncio.StreamWriter, path: str) -> None:
        await _send(writer, status, body, kind, more, length)

    return send


def _raw(data: bytes) -> "Answer":
    async def send(writer: asyncio.StreamWriter, path: str) -> None:
        await _write(writer, data)

    return send


def _repeat(first: bytes, again: bytes, pause: float = 0.0) -> "Answer":
    async def send(writer: asyncio.StreamWriter, path: str) -> None:
        await _write(writer, first)
        while True:
            await _write(writer, again)
            if pause:
                await asyncio.sleep(pause)

    return send


async def _endless_redirect(writer: asyncio.StreamWriter, path: str) -> None:
    await _redirect(writer, f"{path}x")


async def _redirect_two(writer: asyncio.StreamWriter, path: str) -> None:
    await _redirect(writer, "/other" if path == "/page" else "/page")


async def _silent(writer: asyncio.StreamWriter, path: str) -> None:
    await asyncio.sleep(8)


async def _reset(writer: asyncio.StreamWriter, path: str) -> None:
    await _write(writer, _OK + b"Content-Length: 100000\r\n\r\n" + _HTML)
    writer.transport.abort()


async def _reset_at_once(writer: asyncio.StreamWriter, path: str) -> None:
    writer.transport.abort()


Answer = Callable[[asyncio.StreamWriter, str], Awaitable[None]]
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_GZIP = b"Content-Encoding: gzip\r\n"
_BOMB = _bomb(zlib.MAX_WBITS | 16)
_ANSWERS: Mapping[str, Answer] = {
    "gzip-bomb": _body(b"200 OK", _BOMB, _GZIP),
    "deflate-bomb": _body(b"200 OK", _bomb(zlib.MAX_WBITS), b"Content-Encoding: deflate\r\n"),
    "brotli-bomb": _body(b"200 OK", _brotli_bomb(), b"Content-Encoding: br\r\n"),
    "zstd-bomb": _body(b"200 OK", b"\x28\xb5\x2f\xfd\xa4" + bytes(100), b"Content-Encoding: zstd\r\n"),
    "nested-gzip": _body(b"200 OK", gzip.compress(_BOMB), b"Content-Encoding: gzip, gzip\r\n"),
    "many-members": _body(b"200 OK", gzip.compress(b"x") * 8000, _GZIP),
    "cut-gzip": _body(b"200 OK", gzip.compress(_HTML * 50)[:60], _GZIP),
    "gzip-lie": _body(b"200 OK", _HTML, _GZIP),
    "gzip-junk-behind": _body(b"200 OK", gzip.compress(_HTML) + b"junk behind the end", _GZIP),
    "redirect-endless": _endless_redirect,
    "redirect-two": _redirect_two,
    "drip-head": _repeat(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.1),
    "drip-body": _repeat(_OK + b"Content-Length: 100000\r\n\r\n", b"x", 0.05),
    "silent": _silent,
    "short-body": _body(b"200 OK", _HTML, length=5000),
    "long-length": _body(b"200 OK", _HTML, length=10**15),
    "small-length": _body(b"200 OK", _HTML, length=40),
    "negative-length": _body(b"200 OK", _HTML, length=-5),
    "two-lengths": _raw(_OK + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n" + _HTML),
    "word-length": _raw(_OK + b"Content-Length: ten\r\n\r\n" + _HTML),
    "length-and-chunks": _raw(
        _OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_HTML), _HTML)
    ),
    "long-header": _raw(_OK + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n" + _HTML),
    "long-status": _raw(b"HTTP/1.1 200 " + b"O" * 2_000_000 + b"\r\n\r\n" + _HTML),
    "many-headers": _raw(_OK + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n" + _HTML),
    "endless-headers": _repeat(_OK, b"X: y\r\n" * 1000),
    "bad-header": _raw(_OK + b"no colon here\r\n\r\n" + _HTML),
    "nul-header": _raw(_OK + b"X: a\0b\r\n\r\n" + _HTML),
    "endless-chunks": _repeat(_CHUNKED, b"1000\r\n" + b"x" * 0x1000 + b"\r\n"),
    "tiny-chunks": _repeat(_CHUNKED, b"1\r\nx\r\n" * 2000),
    "bad-chunk": _raw(_CHUNKED + b"zz\r\n" + _HTML),
    "huge-chunk": _raw(_CHUNKED + b"f" * 40 + b"\r\n" + _HTML),
    "negative-chunk": _raw(_CHUNKED + b"-5\r\n" + _HTML),
    "cut-chunk": _raw(_CHUNKED + b"fff\r\n" + _HTML),
    "endless-trailer": _repeat(_CHUNKED + b"5\r\n<html\r\n0\r\n", b"X: y\r\n" * 1000),
    "endless-body": _repeat(_OK + b"\r\n", b"x" * 65536),
    "wrong-charset": _body(b"200 OK", _HTML.replace(b"words", "wörter".encode()), kind=b"text/html; charset=shift_jis"),
    "no-charset": _body(b"200 OK", _HTML.replace(b"words", b"w\xf6rter"), kind=b"text/html; charset=klingon"),
    "binary-html": _body(b"200 OK", bytes(range(256)) * 40),
    "empty": _body(b"200 OK", b""),
    "blank": _body(b"200 OK", b" \r\n\t " * 100),
    "reset": _reset,
    "reset-at-once": _reset_at_once,
    "http09": _raw(_HTML),
    "garbage": _raw(bytes(range(256)) * 100),
    "ssh": _raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "tls-on-plain": _raw(b"\x15\x03\x03\x00\x02\x02\x28"),
    "plain-on-tls": _raw(_OK + b"\r\n" + _HTML),
    "poison": _raw(
        _OK + b"Content-Length: %d\r\n\r\n%s" % (len(_HTML), _HTML) + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" * 50
    ),
    "flood-1xx": _repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "switching": _raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + _HTML),
    "status-999": _body(b"999 Go away", _HTML),
    "status-0": _body(b"000 None", _HTML),
    "partial": _body(b"206 Partial Content", _HTML, b"Content-Range: bytes 0-10/99\r\n"),
    "not-modified": _raw(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"),
    "auth": _body(b"401 Unauthorized", _HTML, b'WWW-Authenticate: Basic realm="x"\r\n'),
    "challenge": _body(b"200 OK", b"<html><title>Just a moment...</title><body>Enable JavaScript and cookies to continue</body></html>"),
    "later": _body(b"429 Too Many Requests", b"", b"Retry-After: 86400\r\n"),
    "absurd-later": _body(b"503 Busy", b"", b"Retry-After: " + b"9" * 300 + b"\r\n"),
    "bad-later": _body(b"503 Busy", b"", b"Retry-After: Fri, 99 Foo 99999 99:99:99 GMT\r\n"),
    "noai": _body(b"200 OK", _HTML, b"X-Robots-Tag: otherbot: index\r\nX-Robots-Tag: noai\r\n"),
    "cookies": _body(b"200 OK", _HTML, b"".join(b"Set-Cookie: c%d=%s\r\n" % (number, b"x" * 2000) for number in range(50))),
    "odd-bytes": _body(b"200 OK", _HTML, b"X-Odd: \xff\xfe \x80\t\xe2\x82\r\nX-URL: WARC/1.1\r\n"),
    "robots-huge": _repeat(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000000\r\n\r\n" + _ROBOTS, b"# more\n" * 10_000
    ),
    "robots-html": _body(b"200 OK", _HTML),
    "robots-slow": _repeat(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"#", 0.05),
    "robots-500": _body(b"500 Broken", b""),
    "robots-reset": _reset,
    "robots-bomb": _body(b"200 OK", _BOMB, _GZIP, b"text/plain"),
    "robots-garbage": _raw(bytes(range(256)) * 100),
    "robots-429": _body(b"429 Too Many Requests", b"", b"Retry-After: 0\r\n"),
    "robots-regex": _body(b"200 OK", b"User-agent: " + b"a" * 400_000 + b"]\n", kind=b"text/plain"),
    "refresh": _body(b"200 OK", b'<html><meta http-equiv="refresh" content="0;url=http://127.0.0.1/"><p>words</html>'),
}
