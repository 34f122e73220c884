"""Every wire format: what is asked, how it is sent, what is read from the answer and what it costs."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from oracle_cases import Point, client, role, task
from pydantic import ValidationError

from castalia.errors import ConfigError, UnknownPrice
from castalia.oracle import Ask, ChatMessage, Prices, RoleConfig, open_oracle, price_list
from castalia.oracle.answers import wire_schema
from castalia.oracle.providers import open_provider
from castalia.oracle.providers.base import HttpProvider
from castalia.oracle.scripted import Act, Rule, Server, script_of, scripted_server

TOOLS = json.dumps([{"name": "look_up", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}}])
APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("openai", {}),
    "responses": ("openai", {"api": "responses"}),
    "messages": ("anthropic", {}),
}
every_api = pytest.mark.parametrize("api", list(APIS))


def config(api: str, server: Server, **changes: Any) -> RoleConfig:
    provider, options = APIS[api]
    return role(getattr(server, provider), provider, **{**options, **changes})


def body(settings: RoleConfig, *, tools: str | None = None, typed: bool = True) -> dict[str, Any]:
    """What would be sent."""
    provider = open_provider(settings)
    assert isinstance(provider, HttpProvider)
    asked = Ask(task("s"), "You extract.", (ChatMessage("user", "Extract."),), wire_schema(Point) if typed else None, tools)
    return provider.wire(provider.body(asked))


@every_api
@pytest.mark.parametrize("stream", [False, True])
def test_usage_with_cache_and_reasoning_is_read_and_paid_at_its_own_prices(tmp_path: Path, api: str, stream: bool) -> None:
    async def run() -> None:
        act = Act(text='{"x": 7}', usage=(1000, 300), cached=600, cache_written=100 if api == "messages" else 0, reasoning=250)
        prices = Prices(input=1.0, output=2.0, cached_input=0.1, cache_write=1.25)
        async with scripted_server(lambda *_: act) as server, client(tmp_path, config(api, server, stream=stream, prices=prices)) as oracle:
            reply = await oracle.ask("writer", "You extract.", "Extract.", Point, task=task("s"))
            assert reply.raw == server.bill[0].body
            assert reply.raw.startswith(b"{") is not stream
            call = oracle.ledger.call(reply.key)
            written = act.cache_written
            assert (call.tokens_in, call.tokens_out) == (1000, 300)
            assert call.usd == pytest.approx(((400 - written) * 1.0 + 600 * 0.1 + written * 1.25 + 300 * 2.0) / 1e6)
            [row] = oracle.ledger.usage()
            assert (row.tokens_cached, row.tokens_reasoning) == (600, 0 if api == "messages" else 250)
            assert oracle.ledger.verify().problems == ()

    asyncio.run(run())


@every_api
@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_back_whole(tmp_path: Path, api: str, stream: bool) -> None:
    async def run() -> None:
        act = Act(text="", tool_calls=(("look_up", '{"page":3}'), ("look_up", '{"page":4}')), stop="tools")
        async with scripted_server(lambda *_: act) as server, client(tmp_path, config(api, server, stream=stream)) as oracle:
            reply = await oracle.chat("target", [ChatMessage("user", "Look.")], task=task("s"), tools_json=TOOLS)
            assert reply.stop == "tools"
            assert json.loads(reply.tool_calls_json) == [{"name": "look_up", "arguments": text} for _, text in act.tool_calls]
            assert server.requests[0]["tools"]

    asyncio.run(run())


def test_streaming_caching_and_batches_leave_the_key_as_it_is() -> None:
    settings = {"provider": "anthropic", "model": "claude-opus-5-5"}
    asked = Ask(task("s"), "You extract.", (ChatMessage("user", "Extract."),))
    identities = [
        json.dumps(open_provider(RoleConfig(**settings, **changes)).identity(asked), sort_keys=True)  # type: ignore[arg-type]
        for changes in ({}, {"stream": True}, {"prompt_cache": False}, {"batch": True}, {"requests_per_minute": 5})
    ]
    assert len(set(identities)) == 1


def test_the_chat_request_is_as_openai_documents_it() -> None:
    sent = body(RoleConfig(provider="openai", model="gpt-5", effort="low", max_tokens=50, stream=True, extra_body={"seed": 3}), tools=TOOLS)
    assert sent["max_completion_tokens"] == 50
    assert sent["reasoning_effort"] == "low"
    assert (sent["stream"], sent["stream_options"], sent["seed"]) == (True, {"include_usage": True}, 3)
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert sent["tools"][0]["function"]["name"] == "look_up"


def test_the_responses_request_is_as_openai_documents_it() -> None:
    sent = body(RoleConfig(provider="openai", api="responses", model="gpt-5", effort="high", max_tokens=50), tools=TOOLS)
    assert (sent["instructions"], sent["max_output_tokens"], sent["store"]) == ("You extract.", 50, False)
    assert sent["reasoning"] == {"effort": "high"}
    assert sent["text"]["format"]["type"] == "json_schema"
    assert sent["tools"][0]["name"] == "look_up"


def test_the_messages_request_is_as_anthropic_documents_it() -> None:
    sent = body(RoleConfig(provider="anthropic", model="claude-opus-5-5", thinking="adaptive", effort="high"), tools=TOOLS)
    assert sent["system"] == [{"type": "text", "text": "You extract.", "cache_control": {"type": "ephemeral"}}]
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["output_config"]["effort"] == "high"
    assert sent["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert sent["tools"][0]["input_schema"]
    assert "stream" not in sent
    long = body(RoleConfig(provider="anthropic", model="claude-opus-4-1", thinking=2048, max_tokens=32_000, prompt_cache=False))
    assert (long["thinking"], long["stream"], long["system"]) == ({"type": "enabled", "budget_tokens": 2048}, True, "You extract.")


def test_a_forced_tool_gives_structured_answers_where_there_is_no_output_format(tmp_path: Path) -> None:
    async def run() -> None:
        act = Act(text="", tool_calls=(("give_structured_answer", '{"x":4}'),), stop="tools")
        async with scripted_server(lambda *_: act) as server, client(tmp_path, config("messages", server, native_schema="tool")) as oracle:
            assert (await oracle.ask("writer", "S", "U", Point, task=task("s"))).value == Point(x=4)
            assert server.requests[0]["tool_choice"] == {"type": "tool", "name": "give_structured_answer"}
            assert "output_config" not in server.requests[0]

    asyncio.run(run())


@every_api
def test_a_server_without_a_schema_mode_is_asked_by_prompt_and_the_mode_is_tried_once(tmp_path: Path, api: str) -> None:
    names = {"chat": "response_format", "responses": "text", "messages": "output_config"}

    async def run() -> None:
        server: Server

        def script(number: int, _: str) -> Act:
            refused = names[api] in server.requests[number]
            return Act(status=400, message=f"{names[api]}: json_schema is not supported") if refused else Act()

        async with scripted_server(script) as server, client(tmp_path, config(api, server), budget_usd=1.0) as oracle:
            replies = await asyncio.gather(*(oracle.ask("writer", "S", f"U{n}", Point, task=task(str(n))) for n in range(6)))
            assert [reply.value for reply in replies] == [Point(x=1)] * 6
            assert server.count == 7
            assert "additionalProperties" in json.dumps(server.requests[-1])
            assert oracle.ledger.verify().problems == ()
            await oracle.__aexit__(None, None, None)
            async with client(tmp_path, config(api, server), offline=True) as later:
                assert (await later.ask("writer", "S", "U3", Point, task=task("3"))).value == Point(x=1)

    asyncio.run(run())


def test_azure_and_openrouter_are_a_matter_of_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", "azure-secret-0123456789")

    async def run() -> None:
        async with scripted_server() as server:
            azure = role(
                f"http://127.0.0.1:{server.port}/openai/deployments/mine", query={"api-version": "2026-01-01"}, key_header="api-key",
                api_key_env="AZURE_KEY", headers={"X-Title": "Castalia"},
            )  # fmt: skip
            async with client(tmp_path, azure) as oracle:
                await oracle.ask("writer", "S", "U", Point, task=task("s"))
            assert server.paths == ["/openai/deployments/mine/chat/completions?api-version=2026-01-01"]
            [headers] = server.headers
            assert (headers["api-key"], headers["x-title"]) == ("azure-secret-0123456789", "Castalia")
            assert "authorization" not in headers

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"provider": "openai", "model": "m", "headers": {"Authorization": "Bearer x"}}, "api_key_env"),
        ({"provider": "openai", "model": "m", "headers": {"X-A": "a\r\nX-B: b"}}, "one line"),
        ({"provider": "recorded", "recordings": "r", "batch": True}, "no batch API"),
        ({"provider": "openai", "model": "m", "batch": True, "stream": True}, "not streamed"),
        ({"provider": "anthropic", "model": "m", "api": "responses"}, "goes with provider 'openai'"),
        ({"provider": "openai", "model": "m", "thinking": 2000}, "use `effort`"),
        ({"provider": "anthropic", "model": "m", "thinking": 9000}, "less than max_tokens"),
    ],
)
def test_options_that_do_not_fit_are_errors_before_anything_is_sent(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RoleConfig(**settings)


def test_list_prices_are_dated_sourced_and_never_below_what_the_cache_may_cost() -> None:
    names = [entry.name for entry in price_list()]
    assert len(set(names)) == len(names)
    for entry in price_list():
        assert entry.source
        assert entry.date.year >= 2024
        price = RoleConfig(provider=entry.provider, model=entry.name.split(" ")[0]).price()
        assert price is not None
        assert price.worst(1000, 100) >= max(price.cost(1000, 100), price.cost(1000, 100, 1000), price.cost(1000, 100, 0, 1000))


def test_a_prompt_beyond_the_listed_length_has_its_own_price_or_stops_the_budget(tmp_path: Path) -> None:
    short, long = (RoleConfig(provider="anthropic", model="claude-haiku-5-5").price(most_in) for most_in in (1000, 200_000))
    assert short is not None and long is not None and long.input == 5 * short.input
    assert RoleConfig(provider="openai", model="gpt-6-astra").price(300_000) is None
    oracle = open_oracle({"writer": RoleConfig(provider="openai", model="gpt-6-astra")}, tmp_path / "l.db", budget_usd=1.0)
    with pytest.raises(UnknownPrice, match="prompt of up to"):
        oracle.worst_case("writer", "", "x" * 300_000)


def test_rules_decide_what_the_scripted_server_does() -> None:
    rules = [Rule(act="429", first=2), Rule(act={"text": "hello"}, contains="greet"), Rule(act="500", every=5), Rule(act="529", share=0.5)]
    script = script_of(rules, Act(text="usual"), seed=1)
    assert [script(number, "").status for number in (0, 1, 4)] == [429, 429, 500]
    assert script(2, "greet me").text == "hello"
    drawn = [script(number, "").status for number in range(10, 14) for _ in range(50)]
    assert 60 < drawn.count(529) < 140
    with pytest.raises(ConfigError, match=r"'nonsense' does not exist"):
        script_of([Rule(act="nonsense")])


def test_the_scripted_server_runs_as_a_process_and_hands_in_its_bill() -> None:
    command = [sys.executable, "-m", "castalia.oracle.scripted", "--text", "hi", "--tokens", "7", "3", "--fault", "401:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["openai"]
        question = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
        request = urllib.request.Request(f"{address}/chat/completions", question, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert json.load(reply)["choices"][0]["message"]["content"] == "hi"
        process.terminate()
        bill = json.loads(process.stdout.readline())
        assert (bill["charged"], bill["tokens_in"], bill["tokens_out"], process.wait(10)) == (1, 7, 3, 0)
