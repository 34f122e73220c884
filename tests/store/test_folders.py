"""Model folders are told apart by what decides their answers; single files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from castalia.errors import InputError, StorageFull, StoreError
from castalia.store import folder_hash, write_file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "config.json", "chat_template.jinja", "tokenizer.model", "merges.txt"]
)
def test_everything_that_decides_an_answer_is_part_of_the_identity(model, name: str):
    before = folder_hash(model)
    (model / name).write_bytes(b"other")
    assert folder_hash(model) != before


@pytest.mark.parametrize("name", ["stage.json", "job.json", "training_args.png", "README.md"])
def test_notes_beside_the_model_are_not(model, name: str):
    before = folder_hash(model)
    (model / name).write_bytes(b"{}")
    assert folder_hash(model) == before


def test_where_a_model_lies_is_not_part_of_its_identity(model, tmp_path):
    before = folder_hash(model)
    assert folder_hash(model.rename(tmp_path / "elsewhere")) == before


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_folder_without_weights_is_no_model(tmp_path, place: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no model folder"):
        folder_hash(tmp_path / place)


def test_a_file_is_written_whole_or_stays_what_it_was(tmp_path, monkeypatch):
    target = tmp_path / "new" / "config.json"
    write_file(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="Free some space"):
        write_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"could not write .*file/config\.json"):
        write_file(tmp_path / "file" / "config.json", b"new")
