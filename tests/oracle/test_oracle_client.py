"""What a client does when a provider answers well, badly, or not at all."""

import asyncio
import gc
import json
import time
from pathlib import Path

import pytest
from oracle_cases import Point, client, role, task

from castalia.errors import AnswerUnusable, BudgetReached, ConfigError, OracleError, OracleRefused, UnknownPrice
from castalia.oracle import ChatMessage, OracleClient, Reply, RoleConfig, judge_is_writer, open_oracle
from castalia.oracle.limits import Limiter
from castalia.oracle.quotas import retry_after
from castalia.oracle.scripted import Act, scripted_server


async def ask(oracle: OracleClient, subject: str = "s", **changes: object) -> Reply[Point]:
    return await oracle.ask("writer", "You extract.", f"Extract {subject}.", Point, task=task(subject), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_answer_is_validated_and_its_bytes_money_and_tokens_are_in_the_ledger(tmp_path: Path, provider: str) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda *_: Act(text='{"x": 7}', usage=(1000, 200), model="scripted-2026")) as server,
            client(tmp_path, role(getattr(server, provider), provider), budget_usd=1.0) as oracle,
        ):
            reply = await ask(oracle)
            assert reply.value == Point(x=7)
            assert reply.raw == server.bill[0].body
            call = oracle.ledger.call(reply.key)
            assert (call.raw, call.tokens_in, call.tokens_out) == (reply.raw, 1000, 200)
            assert call.usd == pytest.approx((1000 * 1.0 + 200 * 2.0) / 1e6)
            assert call.answered_model == "scripted-2026"
            [row] = oracle.ledger.usage()
            assert (row.stage, row.role, row.calls, row.tokens_in, row.usd) == ("extract", "writer", 1, 1000, call.usd)
            assert oracle.ledger.money().in_flight == 0

    asyncio.run(run())


@pytest.mark.parametrize(("provider", "where"), [("openai", "response_format"), ("anthropic", "output_config")])
def test_the_schema_goes_into_the_providers_json_mode_or_into_the_prompt(tmp_path: Path, provider: str, where: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server:
            for native in (True, False):
                async with client(tmp_path, role(getattr(server, provider), provider, native_schema=native)) as oracle:
                    await ask(oracle)
            in_mode, in_prompt = server.requests
            schema = in_mode[where]["json_schema"]["schema"] if provider == "openai" else in_mode[where]["format"]["schema"]
            assert schema["additionalProperties"] is False
            assert schema["properties"]["x"] == {"description": "(minimum 0)", "type": "integer"}
            assert where not in in_prompt
            system = in_prompt["system"][0]["text"] if provider == "anthropic" else in_prompt["messages"][0]["content"]
            assert '"additionalProperties":false' in system

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"x": NaN}', "NaN"),
        ('{"x": 1, "x": 2}', "duplicate key"),
        ('{"x": "1"}', "valid integer"),
        ('{"x": -1}', "greater than or equal"),
        ("sorry", "not one valid JSON"),
    ],
)
def test_an_unusable_answer_is_kept_and_repaired_by_a_new_call_with_its_reason(tmp_path: Path, bad: str, reason: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda number, _: Act(text=bad if number == 0 else '{"x": 3}')) as server:
            async with client(tmp_path, role(server.openai)) as oracle:
                reply = await ask(oracle)
                assert reply.value.x == 3
                repair = oracle.ledger.call(reply.key)
                assert repair.repair_of is not None
                assert reason in (repair.repair_reason or "")
                first = oracle.ledger.call(repair.repair_of)
                assert first.state == "done"
                assert json.loads(first.raw or b"")["choices"][0]["message"]["content"] == bad
                assert (await ask(oracle)).key == reply.key
            assert len(server.requests) == 2

    asyncio.run(run())


def test_after_two_repairs_the_answer_is_given_up_with_all_three_paid_and_kept(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(text="{}")) as server, client(tmp_path, role(server.openai)) as oracle:
            with pytest.raises(AnswerUnusable, match=r"after 2 repairs.*x: Field required") as raised:
                await ask(oracle)
            assert oracle.ledger.counts() == {"done": 3}
            calls = [oracle.ledger.call(key) for key in raised.value.calls]
            assert [call.repair_of for call in calls] == [None, calls[0].key, calls[1].key]

    asyncio.run(run())


def test_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda *_: Act(text="I can't.", stop="refusal")) as server,
            client(tmp_path, role(server.openai)) as oracle,
        ):
            with pytest.raises(AnswerUnusable, match="refused"):
                await ask(oracle)
            assert len(server.requests) == 1

    asyncio.run(run())


def test_chat_gives_free_text_and_every_sample_is_its_own_call(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda number, _: Act(text=f"answer {number}")) as server,
            client(tmp_path, role(server.openai)) as oracle,
        ):
            messages = [ChatMessage("system", "Be brief."), ChatMessage("user", "Hello")]
            texts = [(await oracle.chat("target", messages, task=task("s"), sample=sample)).text for sample in (0, 1, 0)]
            assert texts == ["answer 0", "answer 1", "answer 0"]
            assert server.requests[0]["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]

    asyncio.run(run())


@pytest.mark.parametrize(
    "failure",
    [Act(status=500), Act(status=409), Act(status=429, retry_after="0.1"), Act(status=529), Act(status=503, retry_after="0")],
    ids=lambda act: str(act.status),
)
def test_a_passing_failure_is_tried_again_and_costs_nothing(tmp_path: Path, failure: Act) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda number, _: failure if number == 0 else Act()) as server,
            client(tmp_path, role(server.openai)) as oracle,
        ):
            reply = await ask(oracle)
            assert oracle.ledger.call(reply.key).attempts == 2
            assert oracle.ledger.in_doubt() == []
            assert oracle.ledger.verify().problems == ()

    asyncio.run(run())


@pytest.mark.parametrize(
    "failure",
    [Act(fault="reset"), Act(body=b"<html>Bad gateway</html>"), Act(body=b""), Act(body=b'{"error": {"message": "no"}}'), Act(status=504)],
    ids=["reset", "html", "empty", "error-object", "504"],
)
def test_an_attempt_that_may_have_been_billed_is_listed_and_its_worst_case_stays_reserved(tmp_path: Path, failure: Act) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda number, _: failure if number == 0 else Act()) as server,
            client(tmp_path, role(server.openai), budget_usd=1.0) as oracle,
        ):
            reply = await ask(oracle)
            [doubt] = oracle.ledger.in_doubt()
            assert (doubt.key, doubt.outcome) == (reply.key, "unknown")
            assert oracle.ledger.money().in_doubt == doubt.worst_usd > 0
            assert oracle.ledger.verify().problems == ()

    asyncio.run(run())


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_request_costs_one_call_and_not_hundreds(tmp_path: Path, status: int) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(status=status, delay=0.02)) as server, client(tmp_path, role(server.openai)) as oracle:
            results = await asyncio.gather(*(ask(oracle, str(number)) for number in range(300)), return_exceptions=True)
            assert {type(result) for result in results} == {OracleRefused}
            assert len(server.requests) == 1

    asyncio.run(run())


def test_the_server_that_is_not_there_is_named_and_nothing_is_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.exchange.BACKOFF_SECONDS", 0.001)

    async def run() -> None:
        async with client(tmp_path, role("http://127.0.0.1:9/v1"), budget_usd=1.0) as oracle:
            with pytest.raises(OracleError, match=r"http://127\.0\.0\.1:9/v1"):
                await ask(oracle)
            assert sum(oracle.ledger.money()) == 0

    asyncio.run(run())


def test_without_usage_a_call_costs_its_worst_case(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(usage=None)) as server, client(tmp_path, role(server.openai), budget_usd=1.0) as oracle:
            call = oracle.ledger.call((await ask(oracle)).key)
            assert call.usd == oracle.worst_case("writer", "You extract.", "Extract s.", Point)
            assert call.tokens_estimated
            assert "no usage" in call.note

    asyncio.run(run())


def test_the_budget_stops_before_the_call_that_could_exceed_it_and_a_larger_one_continues(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(usage=(400, 100))) as server:
            async with client(tmp_path, role(server.openai), budget_usd=0.004) as oracle:
                results = await asyncio.gather(*(ask(oracle, str(number)) for number in range(20)), return_exceptions=True)
                stopped = [result for result in results if isinstance(result, BudgetReached)]
                assert 0 < len(stopped) < 20
                assert len(stopped) + len(server.bill) == 20
                assert "raise execution.budget_usd" in str(stopped[0])
            async with client(tmp_path, role(server.openai), budget_usd=1.0) as oracle:
                await asyncio.gather(*(ask(oracle, str(number)) for number in range(20)))
            assert len(server.bill) == 20

    asyncio.run(run())


def test_a_budget_without_a_price_is_an_error_before_the_first_call(tmp_path: Path) -> None:
    async def run() -> None:
        config = RoleConfig(provider="openai", model="mystery", base_url="http://127.0.0.1:9/v1")
        with pytest.raises(UnknownPrice, match=r"'mystery'.*prices"):
            async with open_oracle({"writer": config}, tmp_path / "ledger.db", budget_usd=1.0):
                pass

    asyncio.run(run())


def test_a_cancelled_caller_loses_nothing_that_was_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(delay=0.3)) as server:
            async with client(tmp_path, role(server.openai)) as oracle:
                waiting = asyncio.create_task(ask(oracle))
                while not server.flying:
                    await asyncio.sleep(0.01)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            async with client(tmp_path, role(server.openai)) as oracle:
                assert oracle.ledger.counts() == {"done": 1}
                await ask(oracle)
            assert len(server.requests) == 1

    asyncio.run(run())


def test_calls_that_were_not_sent_end_with_the_client_and_leave_nothing_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(delay=0.2)) as server:
            async with client(tmp_path, role(server.openai), concurrency=1) as oracle:
                waiting = [asyncio.create_task(ask(oracle, str(number))) for number in range(5)]
                while not server.flying:
                    await asyncio.sleep(0.01)
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(result) for result in results] == [Reply] + [OracleError] * 4
            async with client(tmp_path, role(server.openai)) as oracle:
                assert oracle.ledger.counts() == {"done": 1}
                await asyncio.gather(*(ask(oracle, str(number)) for number in range(5)))
            assert len(server.requests) == 5

    asyncio.run(run())


def test_the_same_question_at_the_same_moment_is_one_call(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(delay=0.05)) as server, client(tmp_path, role(server.openai)) as oracle:
            replies = await asyncio.gather(*(ask(oracle) for _ in range(50)))
            assert len({reply.key for reply in replies}) == 1
            assert len(server.requests) == 1
            assert (oracle.stats().calls, oracle.stats().cached) == (1, 49)

    asyncio.run(run())


def test_offline_answers_from_the_ledger_and_refuses_the_rest(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(tmp_path, role(server.openai)) as oracle:
            paid = await ask(oracle)
        async with client(tmp_path, role(server.openai), offline=True) as oracle:
            assert (await ask(oracle)).raw == paid.raw
            with pytest.raises(OracleError, match="offline"):
                await ask(oracle, "another")

    asyncio.run(run())


def test_a_missing_key_is_named_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    async def run() -> None:
        async with open_oracle(
            {"writer": RoleConfig(provider="anthropic", model="claude-sonnet-4-5")}, tmp_path / "l.db", budget_usd=1.0
        ) as oracle:
            with pytest.raises(OracleRefused, match="ANTHROPIC_API_KEY"):
                await ask(oracle)
            assert oracle.ledger.counts() == {}

    asyncio.run(run())


def test_a_key_is_sent_and_never_enters_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-very-secret-0123456789"
    monkeypatch.setenv("MY_KEY", secret)

    async def run() -> None:
        acts = [Act(status=500), Act(body=f"<html>{secret}</html>".encode()), Act(text=json.dumps({"x": 1, "note": secret}))]
        async with scripted_server(lambda number, _: acts[min(number, 2)]) as server:
            async with client(tmp_path, role(server.openai, api_key_env="MY_KEY")) as oracle:
                reply = await oracle.ask("writer", f"The key is {secret}.", "Extract.", Point, task=task("s"))
                assert oracle.ledger.verify().problems == ()
                assert reply.value.x == 1
            assert server.headers[0]["authorization"] == f"Bearer {secret}"

    asyncio.run(run())
    for file in tmp_path.iterdir():
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file.name


def test_a_plain_rate_limit_slows_the_model_down_and_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act()) as server, client(tmp_path, role(server.openai, requests_per_minute=600)) as oracle:
            started = time.monotonic()
            waiting = asyncio.gather(*(ask(oracle, str(number)) for number in range(16)))
            seen: set[str] = set()
            while not waiting.done():
                seen.add(oracle.stats().limit)
                await asyncio.sleep(0.02)
            # Ten a second after a burst of ten: the last six need 0.6 s.
            assert time.monotonic() - started >= 0.5
            assert "requests per minute" in seen

    asyncio.run(run())


def test_forty_refusals_together_cut_the_window_once() -> None:
    async def run() -> None:
        limiter = Limiter(100, None, None)
        assert limiter.try_start(1)
        limiter.accepted()
        started = time.monotonic()
        for _ in range(39):
            assert limiter.try_start(1)
        for _ in range(40):
            limiter.overloaded(started, None)
        room = 0
        while limiter.try_start(1):
            room += 1
        assert 40 + room == 40  # 40 fly, the window fell to 32, so nothing more starts
        for _ in range(40):
            limiter.end()
        while limiter.try_start(1):
            room += 1
        assert room == 32

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 10.0),
        ("999999", 120.0),
        ("nan", 120.0),
        ("-3", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, now=0.0) == seconds


def test_a_role_without_configuration_is_played_by_the_writer_if_there_is_one(tmp_path: Path) -> None:
    writer = role("http://127.0.0.1:1/v1")
    judge = role("http://127.0.0.1:2/v1", model="another")
    assert judge_is_writer({"writer": writer})
    assert judge_is_writer({"writer": writer, "judge": writer.model_copy(update={"temperature": 0.0})})
    assert not judge_is_writer({"writer": writer, "judge": judge})
    assert not judge_is_writer({"judge": judge})
    with pytest.raises(ConfigError, match="no 'writer'"):
        open_oracle({"judge": judge}, tmp_path / "l.db", budget_usd=None).worst_case("extractor", "", "")


def test_estimates_use_the_vendors_list_price_only_at_the_vendor(tmp_path: Path) -> None:
    roles = {
        "writer": RoleConfig(provider="anthropic", model="claude-sonnet-4-5"),
        "judge": RoleConfig(provider="anthropic", model="claude-sonnet-4-5", base_url="http://127.0.0.1:1"),
    }
    oracle = open_oracle(roles, tmp_path / "l.db", budget_usd=None)
    assert oracle.estimate("writer", calls=10, tokens_in=1000, tokens_out=100) == pytest.approx(10 * (3000 + 1500) / 1e6)
    assert oracle.estimate("judge", calls=10, tokens_in=1000, tokens_out=100) is None


def test_unknown_providers_and_addresses_with_passwords_are_configuration_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="api_key_env"):
        RoleConfig(provider="openai", model="m", base_url="http://user:password@host/v1")
    with pytest.raises(ConfigError, match=r"'nobody' does not exist.*recorded"):
        open_oracle({"writer": RoleConfig(provider="nobody", model="m")}, tmp_path / "l.db", budget_usd=None).worst_case("writer", "", "")


def test_five_hundred_answers_from_the_ledger_come_back_together_each_to_its_own_question(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: Act(text='{"x": 7}')) as server, client(tmp_path, role(server.openai)) as oracle:
            first = await asyncio.gather(*(ask(oracle, f"s{number}") for number in range(500)))
            questions = [asyncio.create_task(ask(oracle, f"s{number}")) for number in range(500)]
            await asyncio.sleep(0)
            questions[3].cancel()  # one who leaves changes nothing for the others
            again = await asyncio.gather(*questions, return_exceptions=True)
            assert isinstance(again[3], asyncio.CancelledError)
            assert [reply.key for reply in again if isinstance(reply, Reply)] == [r.key for n, r in enumerate(first) if n != 3]
            assert len(server.bill) == 500

    asyncio.run(run())


def test_the_collectors_thresholds_are_back_when_the_client_is_closed(tmp_path: Path) -> None:
    async def run() -> None:
        before = gc.get_threshold()
        with pytest.raises(ZeroDivisionError):
            async with client(tmp_path, role("http://127.0.0.1:9/v1")):
                assert gc.get_threshold()[0] > before[0]
                raise ZeroDivisionError
        assert gc.get_threshold() == before

    asyncio.run(run())
