import asyncio
import errno
import hashlib
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from castalia.errors import CorruptObject, StorageFull, StoreError
from castalia.web.archive import Archive, Fetched


def _fetched(url: str, body: bytes) -> Fetched:
    digest = hashlib.sha256(body).hexdigest()
    return Fetched(url, url, 200, {"content-type": "text/html", "x": "a\r\nb"}, "text/html", body, digest, "2026-01-02T03:04:05+00:00")


def test_what_was_put_is_found_by_url_and_by_body(tmp_path: Path):
    archive = Archive(tmp_path)
    one, two = _fetched("http://h/1", b"<html>one</html>"), _fetched("http://h/2", b"two\r\n\r\nmore")
    archive.put(one)
    archive.put(two)
    archive.close()
    again = Archive(tmp_path)
    assert again.get("http://h/1") == one
    found = again.lookup(two.body_sha256)
    assert found is not None
    assert (found.body, found.fetched_at) == (two.body, two.fetched_at)
    assert again.lookup("0" * 64) is None


def test_a_record_without_an_index_entry_is_cut_off(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.put(_fetched("http://h/1", b"one"))
    archive.close()
    with (tmp_path / "pages.warc.gz").open("ab") as file:
        file.write(b"half a record of a killed process")
    again = Archive(tmp_path)
    again.put(_fetched("http://h/2", b"two"))
    for url, body in (("http://h/1", b"one"), ("http://h/2", b"two")):
        found = again.get(url)
        assert found is not None
        assert found.body == body


def test_damage_is_noticed(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.put(_fetched("http://h/1", b"one " * 100))
    archive.close()
    path = tmp_path / "pages.warc.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorruptObject, match="restore"):
        Archive(tmp_path)


def test_records_can_be_read_by_any_warc_reader(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.put(_fetched("http://h/1", b"one"))
    archive.put(_fetched("http://h/2", b"two"))
    with (tmp_path / "pages.warc.gz").open("rb") as file:
        kinds = WarcRecordType.response
        records = [(record.headers["WARC-Target-URI"], record.reader.read()) for record in ArchiveIterator(file, record_types=kinds)]
    assert records == [("http://h/1", b"one"), ("http://h/2", b"two")]


def test_one_process_writes_and_others_look_on(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.put(_fetched("http://h/1", b"one"))
    with pytest.raises(StoreError, match="another process"):
        Archive(tmp_path)
    reader = Archive(tmp_path, read_only=True)
    found = reader.get("http://h/1")
    assert found is not None
    assert found.body == b"one"
    reader.close()
    archive.close()
    Archive(tmp_path).close()


def test_looking_into_a_folder_without_an_archive_is_an_error(tmp_path: Path):
    with pytest.raises(StoreError, match="no page archive"):
        Archive(tmp_path, read_only=True)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StoreError)])
def test_a_write_that_fails_says_whether_the_disk_is_full_and_can_be_repeated(
    number: int, kind: type[StoreError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(descriptor: int) -> None:
        raise OSError(number, "no", str(tmp_path / "full"))

    archive = Archive(tmp_path / "full")
    with monkeypatch.context() as patched, pytest.raises(StoreError) as caught:
        patched.setattr("castalia.web.archive.os.fsync", fail)
        archive.put(_fetched("http://h/1", b"one"))
    assert type(caught.value) is kind
    assert archive.get("http://h/1") is None
    archive.put(_fetched("http://h/2", b"two"))
    found = archive.get("http://h/2")
    assert found is not None
    assert found.body == b"two"


def test_whoever_waits_for_an_outcome_hears_of_whatever_goes_wrong(tmp_path: Path):
    async def run() -> None:
        archive = Archive(tmp_path)
        with pytest.raises(TypeError):
            await asyncio.wait_for(archive.put_soon(_fetched("http://h/1", b"one"), same_as="http://h/unknown"), 30)
        await asyncio.wait_for(archive.put_soon(_fetched("http://h/2", b"two")), 30)

    asyncio.run(run())
