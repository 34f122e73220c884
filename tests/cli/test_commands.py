"""The command line as people and machines meet it: exit codes, JSON lines, and messages that say what to do."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import castalia.cli.tools
import castalia.errors
from castalia.cli import main
from castalia.config import load_config
from castalia.errors import CastaliaError
from castalia.summary import summarize
from castalia.ui.report import render_report
from castalia.workspace import make_release
from small_world import SITE, configuration, item, pair, passed, sft, trace_example, world

HEAVY = ("torch", "transformers", "daft", "pyarrow", "aiohttp", "altair", "vl_convert", "tiktoken", "pydantic", "selectolax")
ERRORS = sorted(
    {value for value in vars(castalia.errors).values() if isinstance(value, type) and issubclass(value, CastaliaError)},
    key=lambda e: e.__name__,
)
CODES = {
    "ConfigError": 2, "InputError": 3, "StoreError": 4, "StaleStage": 5, "OracleError": 6, "SandboxUnavailable": 7, "ReleaseRefused": 8,
    "TrainingRefused": 9, "TrainingFailed": 10, "Interrupted": 130, "CastaliaError": 1,
}  # fmt: skip


JUDGE = {"provider": "recorded", "recordings": "recordings", "model": "another"}


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# Help


def test_help_is_instant_because_it_imports_nothing_heavy():
    program = (
        "import sys\nfrom castalia.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "castalia init my-domain" in done.stdout
    assert time.perf_counter() - started < 5.0  # 0.1 s on a quiet machine, 0.5 s is what is promised


def test_the_data_half_imports_no_torch():
    program = "import sys, castalia.demo.run, castalia.workspace, castalia.cli.data\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["show"], ["export", "x"], ["eval", "--bank", "secret"]])
def test_wrong_usage_is_exit_code_2_with_the_usage(arguments: list[str], capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: castalia" in capsys.readouterr().err


# Errors


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_ends_with_the_exit_code_of_its_branch(kind: type[CastaliaError], monkeypatch, capsys):
    def failing(options: object) -> int:
        raise kind("what went wrong")

    monkeypatch.setattr(castalia.cli.tools, "sandbox", failing)
    code = main(["sandbox", "doctor", "--json"])
    branch = next(base.__name__ for base in kind.__mro__ if base.__name__ in CODES)
    captured = capsys.readouterr()
    assert code == CODES[branch]
    assert captured.err == "castalia: what went wrong\n"
    assert json.loads(captured.out) == {"error": kind.__name__, "message": "what went wrong", "exit_code": code}


def test_an_interrupt_names_the_command_that_goes_on(monkeypatch, capsys):
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("castalia.cli.plan.plan", interrupted)
    assert main(["plan", "--set", "sources.sites=[https://a.example/, https://b.example/]"]) == 130
    assert "castalia plan --set 'sources.sites=[https://a.example/, https://b.example/]'" in capsys.readouterr().err


def test_without_a_configuration_the_message_says_how_to_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan"]) == 2
    assert "castalia init" in capsys.readouterr().err


def test_a_wrong_key_stops_before_anything_happens(made, capsys):
    assert main(["run", "--set", "execution.budgt_usd=3"]) == 2
    assert "did you mean 'budget_usd'?" in capsys.readouterr().err


def test_an_oracle_without_answers_is_exit_code_6_and_leaves_the_tasks_to_answer(tmp_path, monkeypatch, capsys):
    configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--until", "taxonomy"]) == 6
    assert "'taxonomy'" in capsys.readouterr().err
    assert main(["oracle", "--export", "tasks.jsonl"]) == 0
    [task] = [json.loads(line) for line in (tmp_path / "tasks.jsonl").read_text().splitlines()]
    assert (task["prompt"], task["answer"]) == ("taxonomy", None)


@pytest.mark.parametrize("flag", ["--until", "--rebuild", "--keep"])
def test_a_stage_that_does_not_exist_stops_a_run_before_anybody_is_asked(tmp_path, capsys, flag: str):
    assert main(["run", flag, "exract", "-c", str(configuration(tmp_path))]) == 2
    assert "exract" in (told := capsys.readouterr().err)
    assert "extract" in told


def test_a_run_says_first_that_the_judge_is_the_writer(tmp_path, capsys):
    assert main(["run", "-c", str(configuration(tmp_path))]) == 6
    first = capsys.readouterr().err.splitlines()[0]
    main(["plan", "-c", str(tmp_path / "castalia.yaml")])
    assert first == "warning: the judge is the writer, and models prefer what they wrote; name another model under oracles.judge"
    assert capsys.readouterr().err.splitlines() == [first]


def test_offline_asks_nobody_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    nobody = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "prices": {"input": 0, "output": 0}}
    configuration(tmp_path, oracles={"writer": nobody})
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--offline"]) == 6
    told = capsys.readouterr().err
    assert "the ledger has no answer for prompt 'taxonomy'" in told
    assert "Run without --offline" in told


# init


@pytest.mark.parametrize("name", ["my-domain", "Über uns", "123", "true", "2024-01-01", "---"])
def test_init_writes_a_file_that_works_once_it_is_filled(tmp_path, name: str, capsys):
    assert main(["init", str(tmp_path / name)]) == 0
    path = tmp_path / name / "castalia.yaml"
    assert main(["plan", "-c", str(path)]) == 2
    told = capsys.readouterr().err
    assert "'domain'" in told
    assert "'oracles.writer'" in told
    values = yaml.safe_load(path.read_text())
    values["domain"], values["oracles"]["writer"]["model"], values["sources"]["sites"] = "tea", "claude-sonnet-4-5", [SITE]
    path.write_text(yaml.safe_dump(values))
    assert load_config([path]).name
    assert main(["plan", "-c", str(path), "--set", f"execution.store={tmp_path / 'work'}"]) == 0
    assert "a hard cap" in capsys.readouterr().out


def test_init_never_writes_over_a_file(tmp_path, capsys):
    (tmp_path / "castalia.yaml").write_text("mine")
    assert main(["init", str(tmp_path)]) == 3
    assert (tmp_path / "castalia.yaml").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "below")]) == 3


# Looking


@pytest.mark.parametrize(
    "command", [["plan"], ["status"], ["show", "sft"], ["release"], ["review", "--list"], ["oracle"], ["oracle", "--verify"], ["verify"]]
)
def test_json_gives_one_object_a_line(made, capsys, command: list[str]):
    assert main([*command, "--json"]) == 0
    lines = json_lines(capsys)
    assert lines
    assert all(isinstance(line, dict) for line in lines)


def test_plan_says_what_every_stage_would_do_and_cost(tmp_path, capsys):
    assert main(["plan", "-c", str(configuration(tmp_path)), "--json"]) == 0
    steps = {line["stage"]: line for line in json_lines(capsys) if "stage" in line}
    assert steps["taxonomy"]["state"] == "missing"
    assert (steps["taxonomy"]["calls"], steps["taxonomy"]["usd"]) == (1, 0)
    assert steps["verify"]["state"] == "blocked"


def test_plan_says_of_a_stale_stage_why_at_what_price_and_the_two_ways_on(made, capsys):
    assert main(["plan", "--set", "stages.extract.max_atoms=3"]) == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("stage 'extract' is stale"))
    assert "param 'max_atoms' changed from" in told
    assert "beside answers in the ledger; --rebuild extract to make it again, or --keep extract" in told


@pytest.mark.parametrize(("judge", "warned"), [("gpt-5", True), ("claude-sonnet-4-5", False)])
def test_plan_warns_when_the_judge_is_the_writer(tmp_path, capsys, judge: str, warned: bool):
    writer = {"provider": "openai", "model": "gpt-5"}
    path = configuration(tmp_path, oracles={"writer": writer, "judge": {**writer, "model": judge}})
    assert main(["plan", "-c", str(path)]) == 0
    assert ("the judge is the writer" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(("judge", "told"), [({}, True), ({"judge": JUDGE}, False)])
def test_status_report_and_card_say_that_the_judge_is_the_writer(tmp_path, capsys, judge: dict, told: bool):
    made = world(tmp_path, oracles={"writer": {"provider": "recorded", "recordings": "recordings"}, **judge})
    assert main(["status", "-c", str(tmp_path / "castalia.yaml")]) == 0
    assert ("the judge is the writer" in capsys.readouterr().out) == told
    assert main(["status", "--json", "-c", str(tmp_path / "castalia.yaml")]) == 0
    assert {"judge_is_writer": told} in json_lines(capsys)
    assert ("The judge is the writer" in render_report(summarize(made))) == told
    card = (make_release(made).folder / "README.md").read_text()
    assert ("is the one that wrote them, and models prefer what they wrote" in card) == told


def test_status_shows_the_funnel_first(tmp_path, monkeypatch, capsys):
    verdicts = [passed(sft(), "sft", layer=2, check="consistency", outcome="fail"), passed(pair(), "preferences")]
    world(tmp_path, changes={"sft": [sft()], "rewards": [], "replay": [], "verdicts": verdicts})
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("quality")
    assert lines[2].split() == ["sft", "1", "0", "2", "consistency", "fail:", "1"]
    assert lines[-1] == "2 records wait for a person: castalia review"


def test_show_of_an_unknown_dataset_names_those_there_are(made, capsys):
    assert main(["show", "stf"]) == 3
    assert "there is no dataset 'stf'" in (told := capsys.readouterr().err)
    assert "preferences, queries" in told


def test_show_prints_one_record_by_id(made, capsys):
    assert main(["show", "preferences", pair().id, "--json"]) == 0
    [shown] = json_lines(capsys)
    assert shown["chosen"]["text"] == "Two minutes."
    assert main(["show", "preferences", "pref_0"]) == 3


def test_show_says_of_an_empty_dataset_that_it_is_empty(made, capsys):
    assert main(["show", "atoms"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "dataset 'atoms' is empty\n")


def test_plan_refuses_a_provider_that_does_not_exist(made, capsys):
    assert main(["plan", "--set", "oracles.writer={provider: opnai, model: m}"]) == 2
    assert "provider 'opnai' does not exist; there are openai" in capsys.readouterr().err


def test_gate_and_vault_items_are_never_shown(made, capsys):
    assert main(["show", "suite", "--limit", "9", "--json"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["bank"] for line in captured.out.splitlines()] == ["dev"]
    assert "not shown: 2 GATE and VAULT items" in captured.err
    assert main(["show", "suite", item("gate").id]) == 3
    assert "gate question" not in "".join(capsys.readouterr())


def test_trace_prints_the_chain_down_to_the_raw_answer(made, capsys):
    assert main(["trace", sft().id, "--json"]) == 0
    steps = json_lines(capsys)
    assert [step["kind"] for step in steps] == ["sft", "oracle", "documents", "pages", "archive", "licence evidence"]
    assert main(["trace", sft().id, "--answers"]) == 0
    assert "the raw answer" in capsys.readouterr().out
    assert main(["trace", "sft_0"]) == 3


# Proving


def test_verify_counts_what_it_read_again(made, capsys):
    assert main(["release"]) == 0
    assert main(["verify"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1].startswith(f"{len(made.store.names())} datasets, 1 answers and 1 releases are as written")
    )


def test_verify_names_a_corrupted_object_and_the_dataset_it_belongs_to(made, capsys):
    shard = made.store.manifest("sft").shards[0].sha256
    place = made.folder / "store/objects" / shard[:2] / shard
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    assert main(["verify"]) == 4
    told = capsys.readouterr().err
    assert shard in told
    assert "'sft'" in told
    assert main(["show", "sft"]) == 4


def test_verify_finds_an_edited_release_and_ignores_an_unfinished_one(made, capsys):
    main(["release"])
    (made.releases / ".tea@v2.unfinished").mkdir()
    (made.releases / "tea@v1/README.md").write_text("better")
    assert main(["verify"]) == 4
    assert "release tea@v1: README.md was changed" in capsys.readouterr().err


def test_oracle_verify_proves_the_ledger(made, capsys):
    assert main(["oracle", "--verify"]) == 0
    assert "the chain is whole" in capsys.readouterr().out


def test_oracle_without_a_ledger_or_tasks_says_so(tmp_path, monkeypatch, capsys):
    configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["oracle", "--verify"]) == 3
    assert main(["oracle", "--export", "tasks.jsonl"]) == 3
    assert "no task waits" in capsys.readouterr().err


def test_sandbox_doctor_says_which_isolation_there_is(capsys):
    code = main(["sandbox", "doctor", "--json"])
    [report] = json_lines(capsys)
    assert code == (0 if report["tier"] else 7)
    assert set(report["tiers"]) == {"A", "B"}


def test_harmony_lint_names_the_broken_lines(tmp_path, capsys):
    path = tmp_path / "data.jsonl"
    good = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    path.write_text("\n".join([json.dumps(good), "{broken", json.dumps({"messages": [{"role": "user", "content": "Hi"}]})]) + "\n")
    assert main(["harmony", "lint", str(path), "--json"]) == 3
    [report] = json_lines(capsys)
    assert [(finding["line"], finding["code"]) for finding in report["findings"]] == [(2, "bad-line"), (3, "no-answer")]
    path.write_text(json.dumps(good) + "\n")
    assert main(["harmony", "lint", str(path)]) == 0
    assert main(["harmony", "lint", str(tmp_path / "absent.jsonl")]) == 3


# Handing on


def test_release_and_export_tell_what_they_wrote(made, tmp_path, capsys):
    assert main(["release", "--json"]) == 0
    [told] = json_lines(capsys)
    assert (told["release"], told["new"], told["records"]["sft"]) == ("tea@v1", True, 2)
    assert main(["release"]) == 0
    assert "already holds exactly this" in capsys.readouterr().out
    assert main(["export", "tea", "--to", "trl", "--out", "out"]) == 0
    assert (tmp_path / "out/ATTRIBUTION.md").is_file()
    assert main(["export", "coffee", "--out", "other"]) == 3
    assert main(["release", "../outside"]) == 2


def test_report_writes_a_page(made, capsys):
    assert main(["report", "--json"]) == 0
    [told] = json_lines(capsys)
    assert Path(told["report"]).read_text().startswith("<!doctype html>")


def test_balance_is_that_of_the_report_also_while_records_wait_for_a_layer(tmp_path, capsys):
    waiting = passed(trace_example(), "sft", layer=4, check="execution", outcome="waiting", reason="no cargo")
    made = world(tmp_path, changes={"verdicts": [passed(sft(), "sft"), waiting]})
    assert main(["show", "balance", "--json", "-c", str(tmp_path / "castalia.yaml")]) == 0
    [shown] = json_lines(capsys)
    assert shown == json.loads(json.dumps(summarize(made).balance))
    assert shown["sft"]["records"] == 1


def test_show_acquisition_says_what_is_searched_for(made, tmp_path, capsys):
    assert main(["show", "acquisition"]) == 0
    assert capsys.readouterr().out.startswith("# Web acquisition specification")
    assert main(["show", "acquisition", "--json"]) == 0
    [specification] = json_lines(capsys)
    assert specification["uncovered"] == []
    assert main(["show", "acquisition", "-c", str(configuration(tmp_path / "new"))]) == 3
    assert "--until plan_queries" in capsys.readouterr().err
