"""What a response body is: its type sniffed, its text decoded, block pages and missing pages recognized."""

import codecs
import re

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
_CHALLENGE = (
    *("just a moment...", "attention required! | cloudflare", "checking your browser", "checking if the site connection is secure"),
    *("verify you are human", "verify you are a human", "verify that you are human", "verifying you are human", "are you a robot"),
    *("unusual traffic from your", "enable javascript and cookies to continue", "cf-chl-", "_incapsula_resource", "px-captcha"),
    *("request unsuccessful. incapsula", "ddos protection by", "access to this page has been denied", "pardon our interruption"),
    *("please complete the security check", "press & hold to confirm you are", "captcha-delivery.com", "/.within.website/x/cmd/anubis"),
)
_MISSING = re.compile(
    r"\b404\b|\bpage (?:was |could )?not (?:be )?found\b|\bpage (?:does not|doesn['’]t) exist\b|^not found$|\bno longer available\b", re.I
)


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


def looks_blocked(status: int, html: str, size: int) -> bool:
    """Whether the answer is a challenge or a denial for robots, not content. `size` counts bytes of the whole body."""
    if status not in (401, 403, 429, 503) and size >= 60_000:
        return False
    head = html[:20_000].lower()
    return any(words in head for words in _CHALLENGE)


def looks_missing(title: str, words: int) -> bool:
    """Whether a page that was served with status 200 says that there is none."""
    return words < 200 and bool(_MISSING.search(title))
