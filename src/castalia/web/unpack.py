# pyright: basic
"""Response bodies unpacked under a cap, piece by piece."""

import zlib

import brotli

ACCEPTED = "gzip, deflate, br"
"""What a request may announce."""
_KINDS = {"": "identity", "identity": "identity", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br"}
_STEP = 1 << 20  # bytes of output at once
_MOST_MEMBERS = 1000


class BodyTooLarge(ValueError):
    """The unpacked body is larger than the cap."""


class DamagedBody(ValueError):
    """The body can't be unpacked: an unknown or nested encoding, or bytes that aren't what the encoding says."""


class Unpacker:
    """Unpacks a response body piece by piece and never holds more than `cap` bytes of output.

    Encodings: identity, gzip (several members, as RFC 1952 allows), deflate (with or without its zlib header, as servers send it) and
    br, one at a time. The output of every step is limited before it is made, so a bomb costs no more than the cap.
    """

    def __init__(self, encoding: str, cap: int) -> None:
        self._cap = self._room = cap
        self._kind = _KINDS.get(encoding.strip().lower(), "")
        if not self._kind:
            raise DamagedBody(f"content encoding {encoding[:80]!r} was not asked for")
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip header
        self._brotli = brotli.Decompressor()
        self._members = 0
        self._begun = False
        self._held = b""  # one byte that can't yet tell what begins with it

    def feed(self, data: bytes) -> bytes:
        """Unpacked bytes of `data`. Raises BodyTooLarge beyond the cap, DamagedBody for damaged data."""
        if self._kind == "identity":
            return self._take(data)
        try:
            return self._feed_brotli(data) if self._kind == "br" else self._feed_zlib(data)
        except (zlib.error, brotli.error) as error:
            raise DamagedBody(f"the body is no {self._kind}: {error}") from error

    @property
    def complete(self) -> bool:
        """Whether the packed stream came to its end."""
        return self._kind == "identity" or (self._brotli.is_finished() if self._kind == "br" else self._zlib.eof)

    def _feed_brotli(self, data: bytes) -> bytes:
        out = bytearray()
        piece = self._brotli.process(data, output_buffer_limit=_STEP) if not self._brotli.is_finished() else b""
        while piece or not (self._brotli.can_accept_more_data() or self._brotli.is_finished()):
            out += self._take(piece)
            piece = self._brotli.process(b"", output_buffer_limit=_STEP)
        return bytes(out)

    def _feed_zlib(self, data: bytes) -> bytes:
        out = bytearray()
        data, self._held = self._held + data, b""
        while data:
            if len(data) == 1 and (self._zlib.eof or not self._begun):
                self._held = data
                break
            if self._zlib.eof and not self._begin_member(data):
                break
            try:
                piece = self._zlib.decompress(data, min(self._room, _STEP) + 1)
            except zlib.error:
                if self._begun or self._kind != "deflate":
                    raise
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the header of deflate out
                piece = self._zlib.decompress(data, min(self._room, _STEP) + 1)
            self._begun = True
            out += self._take(piece)
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
        return bytes(out)

    def _begin_member(self, data: bytes) -> bool:
        """Whether another gzip member follows; anything else behind the end is ignored, as browsers do."""
        if self._kind != "gzip" or not data.startswith(b"\x1f\x8b"):
            return False
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise DamagedBody(f"more than {_MOST_MEMBERS} gzip members")
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return True

    def _take(self, data: bytes) -> bytes:
        self._room -= len(data)
        if self._room < 0:
            raise BodyTooLarge(f"more than {self._cap} bytes after unpacking")
        return data
