"""WARC 1.1 records (ISO 28500:2017), one gzip member each.

Bodies are stored unpacked. As Common Crawl does it, the header fields that described the packed body keep their values under an
`X-Crawler-` name, and the length is that of the stored body, so every reader gets a consistent response.
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from uuid import NAMESPACE_URL, uuid5

Fields = Sequence[tuple[bytes, bytes]]
_PACKING = frozenset({b"content-length", b"content-encoding", b"transfer-encoding"})


def record_id(*parts: str) -> str:
    """The WARC-Record-ID of what the parts say; that of an indexed response is made of the URL asked for and the SHA-256 of the body."""
    return f"<urn:uuid:{uuid5(NAMESPACE_URL, ' '.join(parts))}>"


def response_record(
    name: str, url: str, date: str, status: int, reason: str, fields: Fields, body: bytes, *, more: Mapping[str, str] | None = None
) -> bytes:
    """The packed record of a response. `name` is its record id, `date` ISO 8601 in UTC; `more` are further WARC fields."""
    head = [f"HTTP/1.1 {status} {_line(reason)}".rstrip().encode("utf-8", "replace") + (b"" if reason else b" ")]
    head += [_field(b"X-Crawler-" + name if name.lower() in _PACKING else name, value) for name, value in fields]
    head.append(b"Content-Length: %d" % len(body))
    digest = _digest(body)
    block = b"\r\n".join(head) + b"\r\n\r\n" + body
    named = {"WARC-Target-URI": url, "WARC-Payload-Digest": digest, **(more or {})}
    return _record("response", name, date, "application/http; msgtype=response", block, named)


def request_record(url: str, date: str, request: bytes, concurrent_to: str) -> bytes:
    """The request that a response answers."""
    named = {"WARC-Target-URI": url, "WARC-Concurrent-To": concurrent_to}
    return _record("request", record_id(url, date, "request"), date, "application/http; msgtype=request", request, named)


def revisit_record(url: str, date: str, status: int, reason: str, fields: Fields, seen_at: str, digest_of: bytes) -> bytes:
    """A host said that the page seen at `seen_at` is unchanged (304)."""
    head = [f"HTTP/1.1 {status} {_line(reason)}".encode("utf-8", "replace"), *(_field(name, value) for name, value in fields)]
    named = {
        "WARC-Target-URI": url,
        "WARC-Profile": "http://netpreserve.org/warc/1.1/revisit/server-not-modified",
        "WARC-Refers-To-Target-URI": url,
        "WARC-Refers-To-Date": _date(seen_at),
        "WARC-Payload-Digest": _digest(digest_of),
    }
    block = b"\r\n".join(head) + b"\r\n\r\n"
    return _record("revisit", record_id(url, date, "revisit"), date, "application/http; msgtype=response", block, named)


def info_record(date: str, software: str) -> bytes:
    """The record at the start of a file that says who wrote it."""
    block = f"software: {_line(software)}\r\nformat: WARC File Format 1.1\r\nrobots: RFC 9309\r\n".encode()
    return _record("warcinfo", record_id(software, date), date, "application/warc-fields", block, {})


def _record(kind: str, name: str, date: str, media_type: str, block: bytes, named: Mapping[str, str]) -> bytes:
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": name,
        "WARC-Date": _date(date),
        **named,
        "WARC-Block-Digest": _digest(block),
        "Content-Type": media_type,
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.1\r\n" + "".join(f"{key}: {_line(value)}\r\n" for key, value in fields.items()) + "\r\n"
    return gzip.compress(head.encode("utf-8", "replace") + block + b"\r\n\r\n", 6, mtime=0)


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _date(text: str) -> str:
    return text.replace("+00:00", "Z")


def _field(name: bytes, value: bytes) -> bytes:
    return re.sub(rb"[\r\n:\0]", b"-", name) + b": " + re.sub(rb"[\r\n\0]", b" ", value)


def _line(text: str) -> str:
    return re.sub(r"[\r\n\0]", " ", text)
