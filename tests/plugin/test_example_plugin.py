"""`examples/plugin` as an installed package: its stage is planned and runs, its provider answers, its check joins layer 1."""

import asyncio
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from castalia.cli import main
from castalia.config import load_config
from castalia.engine import load_plugin, run_pipeline
from castalia.errors import MissingRecording
from castalia.oracle import RoleConfig, Task, open_ledger, open_oracle
from castalia.pipeline import STAGES, all_stages
from castalia.quality.check import RecordCheck
from castalia.quality.layers import LAYERS, layers_with
from castalia.quality.verify import VerifyParams
from castalia.quality.view import view_record
from castalia.records import Document, Reject
from castalia.store import open_store
from small_world import Said, configuration, document, put, sft

PLUGIN = Path(__file__).parents[2] / "examples/plugin"
PROJECT = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package as pip leaves it: its source on the path, and a dist-info with the entry points of its pyproject."""
    site = tmp_path / "site"
    info = site / f"castalia_wordcount-{PROJECT['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in PROJECT["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(str(PLUGIN / "src"))
    monkeypatch.syspath_prepend(str(site))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("castalia_wordcount")]:
        del sys.modules[name]


def test_everything_it_offers_is_found_under_its_name(installed):
    assert load_plugin("castalia.stages", "count_words").name == "count_words"
    assert load_plugin("castalia.providers", "table").name == "table"
    assert load_plugin("castalia.checks", "ascii-code").check.name == "ascii-code"


def test_its_stage_comes_after_the_shipped_ones_in_a_plan(installed, capsys):
    path = configuration(installed)
    assert main(["plan", "-c", str(path), "--json"]) == 0
    planned = [fact for line in capsys.readouterr().out.splitlines() if "stage" in (fact := json.loads(line))]
    assert planned[len(STAGES) :] == [{"stage": "count_words", "state": "blocked", "reason": planned[-1]["reason"], "calls": 0, "usd": 0}]
    assert "'deduplicate'" in planned[-1]["reason"]


def test_its_stage_takes_params_like_any_other(installed, capsys):
    path = configuration(installed, stages={"count_words": {"min_word": 3}})
    assert main(["plan", "-c", str(path)]) == 2
    assert "unknown key 'stages.count_words.min_word': did you mean 'min_words'?" in capsys.readouterr().err


def test_its_stage_counts_words_and_rejects_what_is_too_short(installed):
    store = open_store(installed / "store")
    long, short = document(), document(texts=("Hi", "there"))
    put(store, "documents", Document, [long, short])
    stage = all_stages()[-1]
    params = stage.params.model_validate({"min_words": 3})
    asyncio.run(run_pipeline([stage], store=store, params={"count_words": params}, workers=0))
    [counted] = store.read_dataset("word_counts", stage.writes["word_counts"])
    assert counted.model_dump()["words"] == sum(len(block.text.split()) for block in long.blocks)
    assert [reject.detail for reject in store.read_dataset("count_words.rejects", Reject)] == ["2 words"]


def test_its_provider_answers_through_the_ledger_and_only_once(installed):
    table = installed / "table.json"
    table.write_text(json.dumps({"extract": {"green tea": {"text": "two minutes"}}}))
    role = RoleConfig(provider="table", model="table", recordings=str(table))

    async def ask(subject: str) -> str:
        async with open_oracle({"writer": role}, installed / "ledger.sqlite", budget_usd=None) as oracle:
            task = Task(stage="extract", prompt="extract", subject=subject, prompt_sha256="a" * 64)
            return (await oracle.ask("writer", "You know tea.", "Write.", Said, task=task)).value.text

    assert asyncio.run(ask("green tea")) == "two minutes"
    assert asyncio.run(ask("green tea")) == "two minutes"
    with open_ledger(installed / "ledger.sqlite", readonly=True) as ledger:
        assert sum(ledger.counts().values()) == 1
    with pytest.raises(MissingRecording, match="has no answer for prompt 'extract', subject 'coffee'"):
        asyncio.run(ask("coffee"))


def test_its_check_joins_the_end_of_layer_1(installed):
    checks = layers_with(["ascii-code"])[0].checks
    assert checks[:-1] == LAYERS[0].checks
    assert checks[-1].name == "ascii-code"


@pytest.mark.parametrize(
    ("answer", "outcome"), [("```python\nprint('tea')\n```", "pass"), ("```python\nprint(‘tea’)\n```", "flag"), ("No code.", None)]
)
def test_its_check_looks_at_code_only(installed, answer: str, outcome: str | None):
    check = layers_with(["ascii-code"])[0].checks[-1]
    assert isinstance(check, RecordCheck)
    found = check.run(view_record(sft(answer=answer), "sft"), None)  # type: ignore[arg-type]
    assert (found.outcome if found else None) == outcome


def test_an_edited_check_or_prompt_makes_other_verdicts(installed, monkeypatch):
    copy = shutil.copytree(PLUGIN / "src", installed / "edited")
    monkeypatch.syspath_prepend(str(copy))

    def identity() -> str:
        return VerifyParams(plugin_checks=("ascii-code",)).model_dump_json()

    before = identity()
    assert f"{PROJECT['name']}=={PROJECT['version']}" in before
    assert identity() == before
    (copy / "castalia_wordcount" / "prompt.md").write_text("Ask this.")
    assert identity() != before


def test_the_line_of_its_readme_works(installed, capsys):
    path = configuration(installed)
    assert main(["plan", "-c", str(path), "--set", "stages.verify.plugin_checks=[ascii-code]"]) == 0
    assert "count_words" in capsys.readouterr().out


def test_without_it_nothing_of_it_is_there():
    assert "count_words" not in [stage.name for stage in all_stages()]


def test_a_configuration_may_name_its_provider(installed):
    path = configuration(installed, oracles={"writer": {"provider": "table", "model": "t", "recordings": "table.json"}})
    config = load_config([path])
    assert config.oracles["writer"].recordings == str(installed / "table.json")
