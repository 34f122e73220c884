# pyright: basic
"""Where released records come from: every page that they were made from or cite is named and asked for its licence, and nothing else will do."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from castalia.cli import main
from castalia.errors import ReleaseRefused
from castalia.records import Document, Page, Provenance, Record, ScopedLicence, SFTExample
from castalia.release.closure import close_provenance
from castalia.release.sources import licence_addresses
from castalia.store import Store
from castalia.workspace import make_release
from small_world import SITE, ask_once, document, evidence, item, page, replay, sft, world

FORBIDDEN = page("forbidden.html", verdict="not-allowed", spdx="CC-BY-NC-4.0")


def released(folder: Path, *records: SFTExample, pages: Sequence[Page] = (), documents: Sequence[Document] = ()) -> Path:
    changes: dict[str, Sequence[Record]] = {
        "sft": records, "preferences": [], "rewards": [], "replay": [], "pages": [page(), *pages], "documents": [document(), *documents],
    }  # fmt: skip
    return make_release(world(folder, changes=changes)).folder


def test_a_record_of_which_only_a_call_is_known_comes_from_nowhere(tmp_path: Path):
    call = ask_once(world(tmp_path))
    made = world(tmp_path, changes={"sft": [sft(provenance=Provenance(calls=(call,)))]})
    with pytest.raises(ReleaseRefused, match="comes from nowhere: no page, item or plan"):
        make_release(made)


def test_a_document_without_a_page_is_no_end_of_a_path(tmp_path: Path):
    lone = document(page("lone.html")).model_copy(update={"provenance": Provenance()})
    with pytest.raises(ReleaseRefused, match=rf"{lone.id}', from which '{sft().id}' was made, comes from nowhere"):
        released(tmp_path, sft(provenance=Provenance(parents=(lone.id,))), documents=[lone])


def test_a_page_that_is_cited_and_no_parent_is_asked_for_its_licence_too(tmp_path: Path):
    cited = document(FORBIDDEN)
    with pytest.raises(ReleaseRefused, match=r"forbidden\.html' is not-allowed"):
        released(tmp_path, sft(evidence=(evidence(), evidence(cited))), pages=[FORBIDDEN], documents=[cited])


def test_a_page_that_is_cited_and_no_parent_is_attributed(tmp_path: Path):
    other = page("other.html")
    folder = released(tmp_path, sft(evidence=(evidence(document(other)),)), pages=[other], documents=[document(other)])
    assert f"## {SITE}other.html" in (folder / "ATTRIBUTION.md").read_text()
    [row] = pq.read_table(folder / "provenance.parquet").to_pylist()
    assert set(row["pages"]) == {page().id, other.id}


def test_a_cited_document_that_does_not_exist_is_named(tmp_path: Path):
    lost = document(page("lost.html"))
    citing = sft(evidence=(evidence(lost),))
    with pytest.raises(ReleaseRefused, match=rf"'{lost.id}', a parent of '{citing.id}', is in no dataset"):
        released(tmp_path, citing)


def test_a_cited_document_made_from_no_page_is_refused(tmp_path: Path):
    planned = document(page("planned.html")).model_copy(update={"provenance": Provenance(parents=(item().id,))})
    with pytest.raises(ReleaseRefused, match=rf"cites '{planned.id}', behind which no page stands"):
        released(tmp_path, sft(evidence=(evidence(planned),)), documents=[planned])


def test_a_frozen_item_is_an_end(tmp_path: Path):
    made = world(tmp_path)
    one = replay(provenance=Provenance(parents=(item().id,)))
    closed = close_provenance([one], made.store, made.store.names(), set)
    assert closed.origins[one.id].pages == ()
    assert closed.datasets == {"suite"}


def test_datasets_are_read_by_generation_and_not_by_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = world(tmp_path)
    read: list[str] = []
    columns = Store.read_columns

    def counted(self: Store, name: str, wanted: Sequence[str]) -> Any:
        read.append(name)
        return columns(self, name, wanted)

    monkeypatch.setattr(Store, "read_columns", counted)
    many = [sft(number) for number in range(1, 50)]
    assert len(close_provenance(many, made.store, ["documents", "pages", "sft"], set).origins) == 49
    assert sorted(read) == ["documents", "pages"]


def test_licences_of_parts_and_of_expressions_are_told_to_machines_one_by_one(tmp_path: Path):
    parts = (
        ScopedLicence(scope="code", spdx="CC-BY-SA-4.0", allowed=True),
        ScopedLicence(scope="image", spdx="CC-BY-NC-4.0", allowed=False),
    )
    licence = page().licence.model_copy(update={"spdx": "MIT AND (CC-BY-4.0 OR LicenseRef-OGL-UK)", "parts": parts})
    mixed = page().model_copy(update={"licence": licence})
    of_it = document(mixed)
    world_ = world(
        tmp_path,
        changes={
            "pages": [mixed], "documents": [of_it], "preferences": [], "rewards": [], "replay": [],
            "sft": [sft(evidence=(evidence(of_it),), provenance=Provenance(parents=(of_it.id,)))],
        },
    )  # fmt: skip
    folder = make_release(world_).folder
    address = "https://spdx.org/licenses/"
    said = json.loads((folder / "croissant.json").read_text())["license"]
    assert said == ["LicenseRef-OGL-UK", f"{address}CC-BY-4.0", f"{address}CC-BY-SA-4.0", f"{address}MIT"]
    assert "source_licences: [CC-BY-SA-4.0, MIT AND (CC-BY-4.0 OR LicenseRef-OGL-UK)]" in (folder / "README.md").read_text()
    named = (folder / "ATTRIBUTION.md").read_text()
    assert "Licence of its code: CC-BY-SA-4.0\n" in named
    assert "Licence of its image: CC-BY-NC-4.0, so it was not used\n" in named


def test_an_exception_to_a_licence_has_an_address_of_its_own():
    assert [one.rpartition("/")[2] for one in licence_addresses(["Apache-2.0 WITH LLVM-exception"])] == ["Apache-2.0", "LLVM-exception"]


def test_a_reason_with_a_line_separator_in_it_is_compared_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    limits = {"quotas": [{"dataset": "sft", "at_most": 1}]}
    odd = [sft(number, question=f"Question{number}\u2028more?", subject=f"a\u2028b\u0085c/sft/{number}") for number in (1, 2)]
    made = world(tmp_path, changes={"sft": odd}, mix=limits)
    make_release(made)
    assert main(["diff", "tea@v1", "tea@v1", "-c", str(tmp_path / "castalia.yaml")]) == 0
    assert "error" not in capsys.readouterr().err
