"""The only door to disk and object stores: content-addressed objects, readable names, verified reads."""

from castalia.store.dataset import Dataset
from castalia.store.files import write_file
from castalia.store.folders import folder_hash
from castalia.store.manifest import Manifest, Parent, Shard, Waiver
from castalia.store.schema import schema_text
from castalia.store.store import Found, Problem, Store, open_store

__all__ = [
    "Dataset", "Found", "Manifest", "Parent", "Problem", "Shard", "Store", "Waiver", "folder_hash", "open_store", "schema_text", "write_file",
]  # fmt: skip
