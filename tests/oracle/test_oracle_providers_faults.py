"""Everything that is known to go wrong with a provider, on every wire format: what comes of it, whether it is tried again, what it costs."""

import asyncio
import email.utils
import time
from dataclasses import replace
from pathlib import Path

import pytest
from oracle_cases import Point, client, role, task

from castalia.errors import AnswerUnusable, OracleError, OracleRefused
from castalia.oracle import Ledger, OracleClient, Reply
from castalia.oracle.scripted import FAULTS, Act, Server, scripted_server

APIS = {"chat": ("openai", {}), "responses": ("openai", {"api": "responses"}), "messages": ("anthropic", {})}
every_api = pytest.mark.parametrize("api", list(APIS))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.exchange.BACKOFF_SECONDS", 0.001)


def config(api: str, server: Server, **changes: object):
    provider, options = APIS[api]
    return role(getattr(server, provider), provider, **{**options, **changes})


async def ask(oracle: OracleClient, subject: str = "s") -> Reply[Point]:
    return await oracle.ask("writer", "You extract.", f"Extract {subject}.", Point, task=task(subject))


def first(fault: Act):
    """The fault once, then a good answer."""
    return lambda number, _: fault if number == 0 else Act(usage=(100, 20))


def accounts_hold(ledger: Ledger) -> bool:
    return ledger.verify().problems == ()


GOOD = 100 * 1.0 / 1e6 + 20 * 2.0 / 1e6


@every_api
@pytest.mark.parametrize("fault", ["429", "429-seconds", "500", "503", "529", "409"])
def test_what_the_server_did_not_do_is_tried_again_and_costs_nothing(tmp_path: Path, api: str, fault: str) -> None:
    async def run() -> None:
        async with scripted_server(first(FAULTS[fault])) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            assert (await ask(oracle)).value == Point(x=1)
            assert (server.count, server.charged, oracle.ledger.in_doubt()) == (2, 1, [])
            assert oracle.ledger.money().spent == pytest.approx(GOOD)
            assert accounts_hold(oracle.ledger)

    asyncio.run(run())


@every_api
@pytest.mark.parametrize(
    "fault",
    ["408", "502", "504", "disconnect", "reset", "cut-chunk", "short-body", "html", "empty", "nan", "duplicate-keys", "error-object"],
)
def test_what_may_have_been_billed_is_tried_again_and_its_worst_case_stays_reserved(tmp_path: Path, api: str, fault: str) -> None:
    async def run() -> None:
        async with scripted_server(first(FAULTS[fault])) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            reply = await ask(oracle)
            [doubt] = oracle.ledger.in_doubt()
            assert (doubt.key, doubt.outcome, server.count) == (reply.key, "unknown", 2)
            assert oracle.ledger.money().in_doubt == doubt.worst_usd > 0
            assert oracle.ledger.money().spent == pytest.approx(GOOD)
            assert accounts_hold(oracle.ledger)

    asyncio.run(run())


@every_api
def test_a_cut_event_stream_is_never_an_answer_and_its_bytes_are_kept(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        fault = replace(FAULTS["cut-stream"], text='{"x": 5}', usage=(100, 20))
        async with (
            scripted_server(first(fault)) as server,
            client(tmp_path, config(api, server, stream=True), budget_usd=1.0) as oracle,
        ):
            reply = await ask(oracle)
            assert reply.value == Point(x=1)
            assert reply.raw == server.bill[1].body
            [doubt] = oracle.ledger.in_doubt()
            assert "cut" in doubt.detail
            answers = [row[0] for row in oracle.ledger._read("SELECT body FROM answers ORDER BY attempt")]
            assert len(answers) == 2
            assert server.bill[0].body.startswith(answers[0])
            assert accounts_hold(oracle.ledger)

    asyncio.run(run())


@every_api
def test_a_body_shorter_than_announced_ends_where_it_was_announced(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        async with scripted_server(first(FAULTS["long-body"])) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            await ask(oracle)
            assert [doubt.outcome for doubt in oracle.ledger.in_doubt()] == ["unknown"]
            assert accounts_hold(oracle.ledger)

    asyncio.run(run())


def test_a_gzip_bomb_is_cut_off_without_filling_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.oracle.transport.BODY_LIMIT", 2**20)
    monkeypatch.setattr("castalia.oracle.scripted.server.BOMB_BYTES", 32 * 2**20)

    async def run() -> None:
        async with (
            scripted_server(first(FAULTS["gzip-bomb"])) as server,
            client(tmp_path, config("chat", server), budget_usd=1.0) as oracle,
        ):
            await ask(oracle)
            [doubt] = oracle.ledger.in_doubt()
            assert "larger than 1 MiB" in doubt.detail

    asyncio.run(run())


@every_api
def test_a_slow_drip_arrives_whole(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        drip = replace(FAULTS["drip"], drip_seconds=0.002)
        async with scripted_server(lambda *_: drip) as server, client(tmp_path, config(api, server)) as oracle:
            assert (await ask(oracle)).raw == server.bill[0].body
            assert oracle.ledger.in_doubt() == []

    asyncio.run(run())


@every_api
def test_missing_usage_costs_the_worst_case_and_says_so(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        async with (
            scripted_server(lambda *_: FAULTS["no-usage"]) as server,
            client(tmp_path, config(api, server), budget_usd=1.0) as oracle,
        ):
            call = oracle.ledger.call((await ask(oracle)).key)
            assert call.usd == oracle.worst_case("writer", "You extract.", "Extract s.", Point)
            assert "no usage" in call.note

    asyncio.run(run())


@every_api
def test_another_models_name_is_kept_with_the_answer(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: FAULTS["other-model"]) as server, client(tmp_path, config(api, server)) as oracle:
            call = oracle.ledger.call((await ask(oracle)).key)
            assert (call.model, call.answered_model) == ("scripted", "another-model")

    asyncio.run(run())


@every_api
def test_a_refusal_is_paid_kept_and_not_asked_again(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        async with scripted_server(lambda *_: FAULTS["refusal"]) as server, client(tmp_path, config(api, server)) as oracle:
            with pytest.raises(AnswerUnusable, match="refused"):
                await ask(oracle)
            assert (server.count, oracle.ledger.counts()) == (1, {"done": 1})

    asyncio.run(run())


@every_api
def test_an_answer_cut_at_its_length_is_repaired_and_both_are_paid(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        async with scripted_server(first(FAULTS["length"])) as server, client(tmp_path, config(api, server)) as oracle:
            reply = await ask(oracle)
            assert "cut off at 100 tokens" in (oracle.ledger.call(reply.key).repair_reason or "")
            assert (server.count, oracle.ledger.counts()) == (2, {"done": 2})

    asyncio.run(run())


@every_api
def test_a_wrong_key_costs_one_call(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        slow = replace(FAULTS["401"], delay=0.02)
        async with scripted_server(lambda *_: slow) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            results = await asyncio.gather(*(ask(oracle, str(number)) for number in range(100)), return_exceptions=True)
            assert {type(result) for result in results} == {OracleRefused}
            assert server.count == 1
            assert sum(oracle.ledger.money()) == 0

    asyncio.run(run())


@every_api
def test_a_context_that_is_too_long_fails_that_record_and_the_others_go_on(tmp_path: Path, api: str) -> None:
    async def run() -> None:
        def script(_number: int, text: str) -> Act:
            return FAULTS["context"] if "long" in text else Act()

        async with scripted_server(script) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            results = await asyncio.gather(*(ask(oracle, subject) for subject in ("long", "a", "b")), return_exceptions=True)
            assert isinstance(results[0], AnswerUnusable)
            assert "longer than the model's context" in str(results[0])
            assert "'long'" in str(results[0])
            assert [type(result) for result in results[1:]] == [Reply, Reply]
            assert server.count == 3
            assert accounts_hold(oracle.ledger)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("0.3", 0.3, 1.5), (lambda: email.utils.formatdate(time.time() + 1.5, usegmt=True), 0.3, 3.0), ("31536000", 0.25, 1.5)],
    ids=["seconds", "date", "absurd"],
)
def test_retry_after_is_honored_and_absurd_values_are_capped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, least: float, most: float
) -> None:
    if value == "31536000":
        monkeypatch.setattr("castalia.oracle.quotas.RETRY_AFTER_CAP", 0.3)

    async def run() -> None:
        words = value() if callable(value) else str(value)
        async with scripted_server(first(Act(status=429, retry_after=words))) as server, client(tmp_path, config("chat", server)) as oracle:
            started = time.monotonic()
            await ask(oracle)
            assert least <= time.monotonic() - started <= most
            assert server.count == 2

    asyncio.run(run())


def test_a_server_that_refuses_connections_is_named_and_nothing_is_reserved_and_it_may_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted_server() as server, client(tmp_path, config("chat", server), budget_usd=1.0) as oracle:
            async with server.refusing():
                with pytest.raises(OracleError, match=f"127.0.0.1:{server.port}"):
                    await ask(oracle)
            assert sum(oracle.ledger.money()) == 0
            assert (await ask(oracle)).value == Point(x=1)

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["429", "500", "529"])
def test_a_fault_that_stays_ends_in_a_typed_error_that_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("castalia.oracle.exchange.MOST_OVERLOADS", 5)

    async def run() -> None:
        async with scripted_server(lambda *_: FAULTS[fault]) as server, client(tmp_path, config("chat", server), budget_usd=1.0) as oracle:
            with pytest.raises(OracleError, match="run the same command again"):
                await ask(oracle)
            assert 5 <= server.count <= 6
            assert (sum(oracle.ledger.money()), oracle.ledger.counts()) == (0, {"failed": 1})

    asyncio.run(run())


def test_the_catalog_of_faults_is_tested_to_its_end() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    elsewhere = {"400", "403", "404", "429-date", "429-absurd"}  # test_oracle_client, and the headers above
    assert [name for name in FAULTS if f'"{name}"' not in text and name not in elsewhere] == []
