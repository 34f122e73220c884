"""The identity of a model folder, without loading the model: training starts from it, scores are kept under it."""

import hashlib
from pathlib import Path

from castalia.errors import InputError
from castalia.records import content_hash
from castalia.store.files import store_errors

_DECIDING = frozenset([".json", ".safetensors", ".bin", ".jinja", ".model", ".txt"])  # weights, configuration, tokenizer, chat template
_WEIGHTS = frozenset([".safetensors", ".bin"])
_NOTES = frozenset(["stage.json", "job.json"])  # what training notes beside a model; they decide no answer


def folder_hash(folder: Path) -> str:
    """sha256 in hex over names and bytes of the files that decide what a model answers.

    Raises InputError for a folder without weights, StoreError when a file can't be read.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix in _DECIDING and path.name not in _NOTES and path.is_file())
    if not any(path.suffix in _WEIGHTS for path in files):
        raise InputError(f"{str(folder)!r} is no model folder: it has no *.safetensors or *.bin; train one, or name another")
    hashes: dict[str, str] = {}
    for path in files:
        with store_errors(str(path), "read"), path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return content_hash(hashes)
