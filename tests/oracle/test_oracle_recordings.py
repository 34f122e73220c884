"""Answers that lie ready: recordings and batch files."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from oracle_cases import Point, client, task

from castalia.errors import AnswerUnusable, InputError, MissingRecording
from castalia.oracle import OracleClient, Reply, RoleConfig, import_recordings, open_ledger


def record(folder: Path, *lines: dict[str, Any] | str, file: str = "a.jsonl") -> RoleConfig:
    folder.mkdir(exist_ok=True)
    (folder / file).write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return RoleConfig(provider="recorded", recordings=str(folder))


def line(subject: str = "s", **changes: Any) -> dict[str, Any]:
    return {"prompt": "extract", "subject": subject, "answer": {"x": 1}, "recorded_for": "example", **changes}


async def ask(oracle: OracleClient, subject: str = "s", user: str = "U", **changes: Any) -> Reply[Point]:
    return await oracle.ask("extractor", "S", user, Point, task=task(subject), **changes)


def test_a_recorded_answer_is_found_by_task_whatever_the_wording(tmp_path: Path) -> None:
    async def run() -> None:
        config = record(tmp_path / "r", line(prompt_sha256="b" * 64, model="recorded for the example", tokens_in=900, tokens_out=100))
        async with client(tmp_path, config, budget_usd=0.0) as oracle:
            reply = await ask(oracle, user="worded one way")
            assert (await ask(oracle, user="worded another way")).value == reply.value == Point(x=1)
            call = oracle.ledger.call(reply.key)
            assert json.loads(call.raw or b"")["answer"] == {"x": 1}
            assert call.answered_model == "recorded for the example"
            assert call.note == f"recorded for 'example'; a.jsonl:1; made for prompt hash {'b' * 12}, asked with {'a' * 12}"
            [row] = oracle.ledger.usage("claude-sonnet-4-5")
            assert (row.calls, row.tokens_in, row.usd) == (2, 1800, 0.0)
            assert row.usd_equivalent == pytest.approx((1800 * 3 + 200 * 15) / 1e6)
            assert oracle.ledger.verify().problems == ()

    asyncio.run(run())


def test_tokens_nobody_counted_are_estimated_and_marked(tmp_path: Path) -> None:
    async def run() -> None:
        async with client(tmp_path, record(tmp_path / "r", line())) as oracle:
            call = oracle.ledger.call((await ask(oracle)).key)
            assert call.tokens_estimated
            assert (call.tokens_in or 0) > 0

    asyncio.run(run())


def test_free_text_and_samples_are_recorded_too(tmp_path: Path) -> None:
    async def run() -> None:
        answers = [line(answer=None, text="one", sample=0), line(answer=None, text="two", sample=1)]
        async with client(tmp_path, record(tmp_path / "r", *answers)) as oracle:
            assert [(await oracle.chat("target", [], task=task("s"), sample=sample)).text for sample in (0, 1)] == ["one", "two"]

    asyncio.run(run())


def test_all_missing_answers_are_collected_and_a_person_can_give_them(tmp_path: Path) -> None:
    async def run() -> None:
        config = record(tmp_path / "r", line("known"))
        async with client(tmp_path, config) as oracle:
            results = await asyncio.gather(*(ask(oracle, subject) for subject in ("known", "b", "a")), return_exceptions=True)
            assert [type(result) for result in results] == [Reply, MissingRecording, MissingRecording]
            message = str(results[1])
            assert all(word in message for word in ("'extract'", "'b'", "API key", "local server", "batch file"))
            [first, _] = oracle.missing
            assert (first.task.subject, first.system, first.user, json.loads(first.schema)["required"]) == ("b", "S", "U", ["x"])
            assert oracle.write_pending(tmp_path / "r" / "pending.jsonl") == 2
        pending = [json.loads(text) for text in (tmp_path / "r" / "pending.jsonl").read_text().splitlines()]
        assert [item["subject"] for item in pending] == ["a", "b"]
        record(tmp_path / "r", *({**item, "answer": {"x": 5}} for item in pending), file="b.jsonl")
        async with client(tmp_path, config) as oracle:
            assert (await ask(oracle, "a")).value.x == 5
            assert oracle.missing == []

    asyncio.run(run())


def test_answered_lines_of_a_pending_file_join_the_recordings_once(tmp_path: Path) -> None:
    answered = tmp_path / "pending.jsonl"
    lines = [line("a", user="one\u2028two"), line("open", answer=None), line("b")]
    answered.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in lines), encoding="utf-8")
    assert import_recordings(answered, tmp_path / "r") == 2

    async def run() -> None:
        async with client(tmp_path, RoleConfig(provider="recorded", recordings=str(tmp_path / "r"))) as oracle:
            assert [(await ask(oracle, subject)).value.x for subject in ("a", "b")] == [1, 1]

    asyncio.run(run())
    with pytest.raises(InputError, match=r"imported\.jsonl:1 already"):
        import_recordings(answered, tmp_path / "r")
    answered.write_text('{"answer": {}}\n\nnonsense\n')
    with pytest.raises(InputError, match=r"pending\.jsonl:3 is no JSON object"):
        import_recordings(answered, tmp_path / "r")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line(), line()], r"a\.jsonl:2 .* a second time, after a\.jsonl:1"),
        ([line(), "{"], r"a\.jsonl:2 is not one line of JSON"),
        (['{"prompt": "extract", "prompt": "extract"}'], r"a\.jsonl:1 .* duplicate key"),
        ([json.dumps(line(answer={"x": float("nan")}))], r"a\.jsonl:1 .*NaN"),
        ([line(answer=None)], r"a\.jsonl:1 .* exactly one of"),
        ([line(anwser={})], r"a\.jsonl:1 .* anwser"),
    ],
)
def test_a_bad_recording_is_an_error_that_names_file_and_line(tmp_path: Path, lines: list[Any], told: str) -> None:
    async def run() -> None:
        async with client(tmp_path, record(tmp_path / "r", *lines)):
            pass

    with pytest.raises(InputError, match=told):
        asyncio.run(run())


def test_a_recorded_answer_of_the_wrong_shape_is_unusable_and_its_line_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with client(tmp_path, record(tmp_path / "r", line(answer={"x": -1}))) as oracle:
            with pytest.raises(AnswerUnusable, match=r"a\.jsonl:1.*greater than or equal"):
                await ask(oracle)

    asyncio.run(run())


def test_the_identity_of_a_recorded_role_follows_the_answers_and_nothing_else(tmp_path: Path) -> None:
    config = record(tmp_path / "r", line("a"), line("b", prompt="other"))
    before = config.identity(["extract"])
    record(tmp_path / "r", line("b", prompt="other", answer={"x": 9}), line("a", tokens_in=5))
    assert config.identity(["extract"]) == before
    assert config.identity(["other"]) != RoleConfig(provider="recorded", recordings=config.recordings, max_tokens=5).identity(["extract"])
    record(tmp_path / "r", line("a", answer={"x": 2}))
    assert config.identity(["extract"]) != before
    keyed = RoleConfig(provider="openai", model="m", base_url="http://localhost:1/v1", api_key_env="A", requests_per_minute=3)
    assert keyed.identity([]) == RoleConfig(provider="openai", model="m").identity([])


def test_a_corrected_recording_is_another_call(tmp_path: Path) -> None:
    async def run() -> None:
        for value in (1, 2):
            async with client(tmp_path, record(tmp_path / "r", line(answer={"x": value}))) as oracle:
                assert (await ask(oracle)).value.x == value

    asyncio.run(run())


def test_a_batch_file_goes_out_and_its_results_come_back(tmp_path: Path) -> None:
    from castalia.oracle.providers.batch_file import import_results

    async def run() -> None:
        config = RoleConfig(provider="batch_file", model="m", max_tokens=50)
        async with client(tmp_path, config) as oracle:
            results = await asyncio.gather(*(ask(oracle, subject, user=subject) for subject in ("a", "b", "c")), return_exceptions=True)
            assert {type(result) for result in results} == {MissingRecording}
            assert "castalia oracle --import" in str(results[0])
            assert len(oracle.missing) == 3
        lines = [json.loads(text) for text in (tmp_path / "pending.batch.jsonl").read_text().splitlines()]
        assert {(item["method"], item["url"], item["body"]["model"]) for item in lines} == {("POST", "/v1/chat/completions", "m")}

        def result(number: int, item: dict[str, Any]) -> dict[str, Any]:
            message = {"role": "assistant", "content": json.dumps({"x": number})}
            body = {
                "model": "m",
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 3},
            }
            return {"custom_id": item["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}

        answered = [result(number, item) for number, item in enumerate(lines[:2])]
        failed = {"custom_id": lines[2]["custom_id"], "response": {"status_code": 500, "body": {}}, "error": None}
        record(tmp_path / "in", *answered, failed, file="results.jsonl")
        with open_ledger(tmp_path / "ledger.db") as ledger:
            assert import_results(ledger, tmp_path / "in" / "results.jsonl") == (2, 0, 1, (), (), (), 1)
            assert import_results(ledger, tmp_path / "in" / "results.jsonl") == (0, 2, 1, (), (), (), 1)
            assert ledger.verify().problems == ()
        async with client(tmp_path, config) as oracle:
            again = await asyncio.gather(*(ask(oracle, subject, user=subject) for subject in ("a", "b", "c")), return_exceptions=True)
            assert sorted(item.value.x for item in again if isinstance(item, Reply)) == [0, 1]
            assert [type(item) for item in again].count(MissingRecording) == 1

    asyncio.run(run())


def test_the_door_opens_without_loading_the_network() -> None:
    code = "import sys, castalia.oracle; print([name for name in ('aiohttp', 'castalia.oracle.providers.openai') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
