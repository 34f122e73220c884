import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.web.bodies import looks_blocked, sniff_media_type
from castalia.web.unpack import BodyTooLarge, DamagedBody, Unpacker

PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:]),
    "deflate": zlib.compress,
    "deflate ": lambda data: zlib.compress(data)[2:-4],
    "br": brotli.compress,
    "": lambda data: data,
}


def unpack(encoding: str, data: bytes, cap: int, size: int) -> tuple[bytes, bool]:
    unpacker = Unpacker(encoding, cap)
    out = b"".join(unpacker.feed(data[start : start + size]) for start in range(0, len(data), size))
    return out, unpacker.complete


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=3000), st.integers(1, 500))
def test_what_was_packed_comes_out_whatever_pieces_it_travels_in(encoding: str, data: bytes, size: int):
    packed = PACKERS[encoding](data)
    assert unpack(encoding, packed, 5000, size) == (data, bool(packed) or not encoding)


@given(st.sampled_from(["gzip", "deflate", "br"]), st.binary(max_size=500), st.integers(1, 100))
def test_any_bytes_give_at_most_the_cap_or_are_damaged(encoding: str, data: bytes, size: int):
    try:
        out, _ = unpack(encoding, data, 1000, size)
    except (BodyTooLarge, DamagedBody):
        return
    assert len(out) <= 1000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_bomb_is_refused_at_the_cap(encoding: str):
    with pytest.raises(BodyTooLarge):
        unpack(encoding, PACKERS[encoding](bytes(3_000_000)), 100_000, 1000)


@pytest.mark.parametrize("encoding", ["zstd", "gzip, gzip", "compress", "br, gzip"])
def test_encodings_that_were_not_asked_for_are_refused(encoding: str):
    with pytest.raises(DamagedBody, match="not asked for"):
        Unpacker(encoding, 10)


def test_the_bytes_say_what_a_body_is():
    assert sniff_media_type("text/html", b"%PDF-1.7") == "application/pdf"
    assert sniff_media_type("application/octet-stream", b"<!DOCTYPE html><p>x") == "text/html"
    assert sniff_media_type("text/plain", b"<html>an example in a text file") == "text/plain"
    assert sniff_media_type("text/html", b"\0\1\2\3" * 10) == "application/octet-stream"


def test_a_long_article_about_challenges_is_no_challenge():
    page = "<html><p>Just a moment... is what such pages say."
    assert looks_blocked(200, page, 2_000)
    assert looks_blocked(403, page, 200_000)
    assert not looks_blocked(200, page, 200_000)
