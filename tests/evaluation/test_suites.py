"""A frozen suite notices any change, and its file gives no item away."""

from pathlib import Path

import pytest

from castalia.errors import ConfigError, InputError, StaleStage, StoreError
from castalia.evaluation.suites import bank, freeze, read_frozen, verify_frozen, write_frozen
from castalia.records import Bank, Check, SuiteItem, ask_user


def item(number: int, bank_name: Bank = "dev", text: str = "", *, cluster: str = "") -> SuiteItem:
    return SuiteItem(
        subject=f"knowledge/n/{bank_name}/{number}",
        bank=bank_name,
        category="knowledge",
        node="knowledge/n",
        cluster=cluster or f"{bank_name}{number}",
        prompt=ask_user(text or f"What is {number} in {bank_name}?"),
        check=Check(kind="exact", expected=(str(number),)),
        reference=str(number),
    )


ITEMS = [item(1), item(2), item(1, "gate"), item(2, "gate"), item(1, "vault")]


def test_freezing_depends_on_content_and_not_on_order() -> None:
    assert freeze(ITEMS) == freeze(ITEMS[::-1])
    assert freeze(ITEMS).sha256 != freeze([*ITEMS[:-1], item(9, "vault")]).sha256
    assert freeze(ITEMS).counts()["gate"] == {"behavioral": 0, "skills": 0, "knowledge": 2, "procedural": 0}


def test_frozen_file_verifies_and_shows_no_question(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    write_frozen(file, freeze(ITEMS))
    assert verify_frozen(file, ITEMS[::-1]) == freeze(ITEMS)
    assert "What is" not in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]


def test_a_disk_that_fails_leaves_the_frozen_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "suite.json"
    write_frozen(file, freeze(ITEMS))

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(StoreError, match=r"could not write .*suite\.json"):
        write_frozen(file, freeze(ITEMS[1:]))
    assert [path.name for path in tmp_path.iterdir()] == ["suite.json"]
    assert verify_frozen(file, ITEMS)


def test_a_changed_item_is_a_new_suite(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    write_frozen(file, freeze(ITEMS))
    with pytest.raises(StaleStage, match=r"1 changed \('knowledge/n/dev/1'\).*new suite"):
        verify_frozen(file, [item(1, text="Changed?"), *ITEMS[1:]])
    with pytest.raises(StaleStage, match="1 removed"):
        verify_frozen(file, ITEMS[1:])
    with pytest.raises(StaleStage, match="1 given twice"):
        verify_frozen(file, [*ITEMS, ITEMS[0]])


def test_an_edited_or_missing_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    with pytest.raises(InputError, match="can't be read"):
        read_frozen(file)
    write_frozen(file, freeze(ITEMS))
    file.write_text(file.read_text().replace(ITEMS[0].id, "item_00000000000000000000"))
    with pytest.raises(InputError, match="was edited"):
        read_frozen(file)


def test_banks_that_share_questions_or_clusters_are_refused() -> None:
    with pytest.raises(ConfigError, match="ask the same question"):
        freeze([item(1, "dev", "What is Mako?"), item(1, "gate", "what is  mako?")])
    with pytest.raises(ConfigError, match="cluster 'idea'"):
        freeze([item(1, "dev", cluster="idea"), item(1, "gate", cluster="idea")])
    with pytest.raises(ConfigError, match="occurs 2 times"):
        freeze([item(1), item(1)])
    with pytest.raises(ConfigError, match="no items"):
        freeze([])


def test_vault_opens_only_for_a_named_release() -> None:
    assert bank(ITEMS, "dev") == ITEMS[:2]
    with pytest.raises(ConfigError, match="release"):
        bank(ITEMS, "vault")
    assert bank(ITEMS, "vault", opened_for="mako 1.0") == [ITEMS[-1]]
