"""What a response body is: unpacked under a cap, its type sniffed, its text decoded, block pages recognised."""

import codecs
import re
import zlib

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_HTML = re.compile(
    rb"\s*(?:<!--.{0,2000}?-->\s*)*<(?:!doctype html|html|head|body|title|script|style|table|div|h1|p|meta|link|br|a)\b", re.I | re.S
)
_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"RIFF", "application/octet-stream"),
    (b"\x7fELF", "application/octet-stream"),
)
_CHALLENGE = re.compile(
    r"just a moment\.\.\.|attention required! \| cloudflare|checking your browser|verify(?:ing)? (?:that )?you are (?:a )?human|"
    r"are you a robot|unusual traffic from your|enable javascript and cookies to continue|cf-chl-|_incapsula_resource|px-captcha|"
    r"request unsuccessful\. incapsula|ddos protection by|access to this page has been denied|pardon our interruption",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"\b404\b|\bpage (?:was |could )?not (?:be )?found\b|\bpage (?:does not|doesn['’]t) exist\b|^not found$|\bno longer available\b", re.I
)


class BodyTooLarge(ValueError):
    """The unpacked body is larger than the cap."""


class Unpacker:
    """Unpacks a response body piece by piece and never holds more than `cap` bytes of output."""

    def __init__(self, encoding: str, cap: int) -> None:
        self._room = cap
        self._cap = cap
        encoding = encoding.strip().lower()
        if encoding in ("", "identity"):
            self._decoder = None
        elif encoding in ("gzip", "x-gzip", "deflate"):
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip header
        else:
            raise ValueError(f"content encoding {encoding!r} was not asked for")

    def feed(self, data: bytes) -> bytes:
        """Unpacked bytes of `data`. Raises BodyTooLarge beyond the cap, zlib.error for damaged data."""
        if self._decoder is None:
            return self._take(data)
        parts: list[bytes] = []
        while data:
            parts.append(self._take(self._decoder.decompress(data, self._room + 1)))
            data = self._decoder.unconsumed_tail
        return b"".join(parts)

    @property
    def complete(self) -> bool:
        """Whether the packed stream came to its end."""
        return self._decoder is None or self._decoder.eof

    def _take(self, data: bytes) -> bytes:
        self._room -= len(data)
        if self._room < 0:
            raise BodyTooLarge(f"more than {self._cap} bytes after unpacking")
        return data


def sniff_media_type(declared: str, body: bytes) -> str:
    """The media type by the first bytes, which count more than what the server declares."""
    for magic, media_type in _MAGIC:
        if body.startswith(magic):
            return media_type
    declared = declared.split(";")[0].strip().lower()
    head = body[:4096].lstrip(b"\xef\xbb\xbf")
    if b"\x00" in head and not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "application/octet-stream"
    if _HTML.match(head) and declared not in ("text/plain", "application/xml", "text/xml", "application/json"):
        return "text/html"
    if declared in ("application/xhtml+xml", "text/html"):
        return "text/html"
    return declared or ("text/plain" if head else "application/octet-stream")


def decode_text(declared: str, body: bytes) -> str:
    """The body as text: byte order mark, then header, then `<meta charset>`, then UTF-8, then Windows-1252."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if body.startswith(mark):
            return body.decode(name, "replace")
    header = _HEADER_CHARSET.search(declared)
    meta = _META_CHARSET.search(body[:4096])
    for name in (header[1] if header else "", meta[1].decode("ascii") if meta else ""):
        try:
            if name:
                codec = codecs.lookup(name).name
                return body.decode("cp1252" if codec in ("iso8859-1", "ascii") else codec, "replace")
        except (LookupError, UnicodeError):
            continue  # an unknown charset label says nothing: the next source decides
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def looks_blocked(status: int, html: str) -> bool:
    """Whether the answer is a challenge or a denial for robots, not content."""
    return (status in (401, 403, 429, 503) or len(html) < 60_000) and bool(_CHALLENGE.search(html[:20_000]))


def looks_missing(title: str, words: int) -> bool:
    """Whether a page that was served with status 200 says that there is none."""
    return words < 200 and bool(_MISSING.search(title))
