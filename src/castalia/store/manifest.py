"""What one version of a dataset is: its columns, its shards, what it was made from. Named by the hash of its JSON.

`content` is the hash of the rows alone. Two versions with equal `content` hold equal records, whatever made them and
whichever Parquet writer spelled them, so stages downstream depend on `content` and a rebuild that changes nothing
leaves them fresh. No time stands here: the same records give the same manifest.
"""

from functools import cached_property

from pydantic import Field

from castalia.records import Frozen, canonical_json, content_hash


class Shard(Frozen):
    """One Parquet object, a run of rows in the order of their ids."""

    sha256: str = Field(description="Name of the object.")
    rows: int = Field(description="How many rows it has.")
    size: int = Field(description="Bytes of the object.")
    first: str = Field(description="Smallest record id in it.")
    last: str = Field(description="Largest record id in it.")


class Parent(Frozen):
    """A dataset this one was made from."""

    dataset: str = Field(description="Its name.")
    manifest: str = Field(description="Hash of the manifest that was read.")


class Waiver(Frozen):
    """A decision to keep this version although its stage would now make another."""

    fingerprint: str = Field(description="The fingerprint that was waived.")
    reason: str = Field(description="What had changed.")


class Manifest(Frozen):
    """A version of a dataset."""

    format: int = Field(default=1, description="Version of this layout.")
    dataset: str = Field(description="Name of the dataset.")
    record: str = Field(description="Name of the record class.")
    prefix: str = Field(description="Prefix of its record ids.")
    columns: tuple[str, ...] = Field(description="`name: type` of every column.")
    rows: int = Field(description="How many records it has.")
    duplicates: int = Field(description="How many records with an id seen before were dropped.")
    characters: int = Field(description="Length of all rows as canonical JSON: what estimates are made from.")
    content: str = Field(description="Hash of the rows alone.")
    fingerprint: str = Field(description="Identity of the stage run that made it.")
    parents: tuple[Parent, ...] = Field(description="What it was made from, by name.")
    waivers: tuple[Waiver, ...] = Field(default=(), description="Decisions to keep it.")
    shards: tuple[Shard, ...] = Field(description="Its objects in the order of the ids.")

    @cached_property
    def hash(self) -> str:
        """Name of this manifest in the store."""
        return content_hash(self.model_dump(mode="json"))

    def encode(self) -> bytes:
        """The bytes that are stored; their sha256 is `hash`."""
        return canonical_json(self.model_dump(mode="json")).encode()

    def accepts(self, fingerprint: str) -> bool:
        """Whether this version was made under `fingerprint`, or kept under it by a waiver."""
        return fingerprint == self.fingerprint or any(waiver.fingerprint == fingerprint for waiver in self.waivers)
