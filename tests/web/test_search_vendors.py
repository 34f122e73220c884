"""Search vendors against scripted servers on loopback."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from castalia.errors import ConfigError, SearchFailed
from castalia.web.search.provider import Hit, SearchProvider
from castalia.web.search.settings import SearchSettings, open_providers

Seen = list[tuple[str, dict[str, str], dict[str, str], Any]]


def ask(
    kind: str, script: Callable[[web.Request, int], Awaitable[web.Response]], query: str = "q", limit: int = 10, **settings: str
) -> tuple[list[Hit], Seen]:
    """Hits of a provider of `kind` whose API is `script`, and the requests: path, headers, parameters, body."""
    seen: Seen = []

    async def run() -> list[Hit]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.json() if request.can_read_body else None
            seen.append((request.path, dict(request.headers), dict(request.query), body))
            return await script(request, len(seen))

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        configured = SearchSettings.model_validate({"kind": kind, "base_url": f"http://127.0.0.1:{port}", **settings})
        provider: SearchProvider = open_providers([kind], {kind: configured})[kind]
        try:
            return await provider.search(query, limit)
        finally:
            await provider.close()
            await runner.cleanup()

    return asyncio.run(run()), seen


def results(*urls: str) -> Callable[[web.Request, int], Awaitable[web.Response]]:
    async def script(request: web.Request, _number: int) -> web.Response:
        found = [{"url": url, "title": "t", "score": 0.5} for url in urls]
        return web.json_response({"query": {}, "web": {"results": found}, "results": found})

    return script


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BRAVE", "EXA", "TAVILY"):
        monkeypatch.setenv(f"{name}_API_KEY", f"key-of-{name}")


@pytest.mark.parametrize(
    ("kind", "header", "value", "path"),
    [
        ("brave", "X-Subscription-Token", "key-of-BRAVE", "/res/v1/web/search"),
        ("exa", "x-api-key", "key-of-EXA", "/search"),
        ("tavily", "Authorization", "Bearer key-of-TAVILY", "/search"),
    ],
)
def test_a_vendor_is_asked_with_its_key_and_gives_urls_in_its_order(kind: str, header: str, value: str, path: str):
    hits, seen = ask(kind, results("http://one.example/", "http://two.example/"), limit=5)
    assert [hit.url for hit in hits] == ["http://one.example/", "http://two.example/"]
    assert hits[0].score > hits[1].score
    assert seen[0][0] == path
    assert seen[0][1][header] == value
    assert "q" in json.dumps([seen[0][2], seen[0][3]])


def test_brave_is_asked_page_by_page_until_there_is_nothing_more():
    async def script(request: web.Request, number: int) -> web.Response:
        if number == 3:
            return web.json_response({"query": {}})
        found = [{"url": f"http://h/{number}/{place}"} for place in range(int(request.query["count"]))]
        return web.json_response({"query": {}, "web": {"results": found}})

    hits, seen = ask("brave", script, limit=100)
    assert len(hits) == 40
    assert [entry[2]["offset"] for entry in seen] == ["0", "1", "2"]


def test_pages_of_a_searxng_instance_are_asked_until_they_repeat():
    async def script(request: web.Request, _number: int) -> web.Response:
        page = min(2, int(request.query["pageno"]))
        return web.json_response({"results": [{"url": f"http://h/{page}/{place}"} for place in range(3)]})

    hits, seen = ask("searxng", script, limit=50)
    assert len(hits) == 6
    assert [entry[2]["format"] for entry in seen] == ["json"] * 3


def test_a_refused_key_is_a_configuration_error_and_not_asked_twice():
    async def script(_request: web.Request, number: int) -> web.Response:
        assert number == 1
        return web.json_response({"error": "no"}, status=401)

    with pytest.raises(ConfigError, match="refused access"):
        ask("exa", script)


def test_a_busy_vendor_is_asked_again_after_the_time_it_says():
    async def script(request: web.Request, number: int) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "0"}) if number < 3 else await results("http://h/")(request, number)

    hits, seen = ask("tavily", script)
    assert [hit.url for hit in hits] == ["http://h/"]
    assert len(seen) == 3


@pytest.mark.parametrize("kind", ["brave", "exa", "tavily", "searxng"])
@pytest.mark.parametrize(
    "answer", ["[]", "no json", "{}", '{"results": {}}', '{"results": [3]}', '{"query": {}, "web": {}, "results": [{"link": "http://h/"}]}']
)
def test_an_answer_of_another_shape_is_said_to_be_one(kind: str, answer: str):
    async def script(_request: web.Request, _number: int) -> web.Response:
        return web.Response(text=answer, content_type="application/json")

    with pytest.raises(SearchFailed, match="API may have changed"):
        ask(kind, script)


def test_a_key_does_not_follow_a_redirect():
    async def script(_request: web.Request, number: int) -> web.Response:
        assert number == 1
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    with pytest.raises(SearchFailed, match="302"):
        ask("exa", script)


def test_a_missing_key_or_setting_is_named_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BRAVE_API_KEY")
    with pytest.raises(ConfigError, match="BRAVE_API_KEY"):
        open_providers(["brave"], {})
    with pytest.raises(ConfigError, match=r"search\.searxng\.base_url"):
        open_providers(["searxng"], {})
    with pytest.raises(ConfigError, match="unknown"):
        open_providers(["gogle"], {})
    monkeypatch.setenv("MY_KEY", "k")
    opened = open_providers(["site", "mine"], {"mine": SearchSettings(kind="brave", key_env="MY_KEY")})
    assert [provider.name for provider in opened.values()] == ["mine"]


def test_terms_that_forbid_are_readable_by_machines():
    opened = open_providers(["brave", "exa", "tavily"], {})
    for provider in opened.values():
        assert (provider.terms.may_store, provider.terms.may_train) == (None, None)
        assert provider.terms.source.startswith("https://")


def test_what_terms_are_not_known_to_allow_is_refused_where_it_is_demanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("BRAVE_API_KEY", "k")
    with pytest.raises(
        ConfigError, match=r"demands \['store', 'train'\].*'brave'.*'store' not known, 'train' not known.*search\.brave\.terms"
    ):
        open_providers(["site", "brave"], {}, ["store", "train"])
    stated = SearchSettings.model_validate(
        {"kind": "brave", "terms": {"may_store": True, "may_train": False, "source": "our plan, 2026-01-05"}}
    )
    assert set(open_providers(["brave"], {"brave": stated}, ["store"])) == {"brave"}
    with pytest.raises(ConfigError, match=r"'train' forbidden \(see stated by configuration: our plan, 2026-01-05\)"):
        open_providers(["brave"], {"brave": stated}, ["store", "train"])
    (tmp_path / "index.jsonl").write_text("", encoding="utf-8")
    local = SearchSettings(kind="local", path=str(tmp_path / "index.jsonl"))
    assert set(open_providers(["local"], {"local": local}, ["store", "train"])) == {"local"}
