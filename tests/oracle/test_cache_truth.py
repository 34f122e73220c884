"""The cache tells the truth: what can change an answer always misses, what can't always hits, and new rows cost exactly themselves."""

import asyncio
import itertools
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from castalia.oracle import ChatMessage, OracleClient, RoleConfig, Task, open_oracle, quotas, transport
from castalia.oracle.ledger import writer
from castalia.oracle.scripted import Act, Server, scripted_server


class Point(BaseModel):
    """A point."""

    x: int = Field(ge=0, description="How far.")


class Renamed(BaseModel):
    y: int = Field(ge=0, description="How far.")


class Described(BaseModel):
    """A point."""

    x: int = Field(ge=0, description="How far to the right.")


class Bounded(BaseModel):
    """A point."""

    x: int = Field(ge=1, description="How far.")


class Typed(BaseModel):
    """A point."""

    x: float = Field(ge=0, description="How far.")


class Optional(BaseModel):
    """A point."""

    x: int | None = Field(ge=0, description="How far.")


class Wider(BaseModel):
    """A point."""

    x: int = Field(ge=0, description="How far.")
    y: int = 0


class Reversed(BaseModel):
    """A point."""

    y: int = 0
    x: int = Field(ge=0, description="How far.")


class Red(BaseModel):
    x: Literal["red"]


class Blue(BaseModel):
    x: Literal["blue"]


TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
OTHER_TOOL = {"name": "go", "description": "Goes.", "parameters": {"type": "object", "properties": {}}}


TASK = Task(stage="extract", prompt="where", subject="there", prompt_sha256="0" * 64)


@dataclass(frozen=True)
class Question:
    """One call with everything around it."""

    user: str = "Where?"
    system: str = "You measure."
    answer: type[BaseModel] = Point
    sample: int = 0
    role: dict[str, Any] = field(default_factory=dict[str, Any])
    turns: tuple[ChatMessage, ...] = ()
    """A free conversation where there are any."""
    tools: tuple[dict[str, Any], ...] | None = None
    tools_text: Callable[[Any], str] = json.dumps
    # what doesn't decide the answer
    name: str = "writer"
    task: Task = TASK
    others: tuple[str, ...] = ()
    client: dict[str, Any] = field(default_factory=dict[str, Any])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    constants: tuple[tuple[Any, str, Any], ...] = ()
    beside: int = 0
    """So many other questions are asked at the same moment."""

    def with_role(self, **changes: Any) -> "Question":
        return replace(self, role={**self.role, **changes})

    def with_client(self, **changes: Any) -> "Question":
        return replace(self, client={**self.client, **changes})


Change = Callable[[Question], Question]


def role(**changes: Any) -> Change:
    return lambda question: question.with_role(**changes)


def asked(**changes: Any) -> Change:
    return lambda question: replace(question, **changes)


def text(change: Callable[[str], str], name: str = "user") -> Change:
    return lambda question: replace(question, **{name: change(getattr(question, name))})


def task(**changes: Any) -> Change:
    return lambda question: replace(question, task=replace(question.task, **changes))


def named(answer: type[BaseModel], name: str) -> Change:
    return asked(answer=create_model(name, __base__=answer, __doc__=answer.__doc__))


def turns(change: Callable[[tuple[ChatMessage, ...]], tuple[ChatMessage, ...]]) -> Change:
    return lambda question: replace(question, turns=change(question.turns))


ASKED = Question()
TALKED = Question(
    turns=(
        ChatMessage("system", "You talk."),
        ChatMessage("user", "Hello."),
        ChatMessage("assistant", "Yes?"),
        ChatMessage("user", "Where?"),
    )
)
TOOLED = replace(TALKED, tools=(TOOL, OTHER_TOOL))
KEYED = replace(ASKED.with_role(api_key_env="ONE_KEY"), environment={"ONE_KEY": "sk-the-first-key-of-all"})
CLAUDE = ASKED.with_role(provider="anthropic")

MATTERS: dict[str, tuple[Question, Change]] = {
    "provider": (ASKED, role(provider="anthropic")),
    "api": (ASKED, role(api="responses")),
    "base url, path": (ASKED, role(place="/elsewhere")),
    "base url, host": (ASKED, role(host="localhost")),
    "address parameters": (ASKED, role(query={"api-version": "2"})),
    "extra fields of the body": (ASKED, role(extra_body={"seed": 7})),
    "order of the answer's properties": (replace(ASKED, answer=Wider), named(Reversed, "Wider")),
    "order of a tool's description": (TOOLED, asked(tools_text=partial(json.dumps, sort_keys=True))),
    "model": (ASKED, role(model="another")),
    "model, letter case": (ASKED, role(model="Scripted")),
    "temperature, given": (ASKED, role(temperature=0.5)),
    "temperature, zero instead of none": (ASKED, role(temperature=0.0)),
    "temperature, changed": (ASKED.with_role(temperature=0.5), role(temperature=0.6)),
    "top_p, given": (ASKED, role(top_p=0.9)),
    "top_p, changed": (ASKED.with_role(top_p=0.9), role(top_p=0.8)),
    "max_tokens": (ASKED, role(max_tokens=101)),
    "effort, given": (ASKED, role(effort="low")),
    "effort, changed": (ASKED.with_role(effort="low"), role(effort="high")),
    "effort, of the other vendor": (CLAUDE.with_role(effort="low"), role(effort="high")),
    "thinking": (CLAUDE, role(thinking=1024, max_tokens=2000)),
    "schema mode or prompt": (ASKED, role(native_schema=False)),
    "system prompt": (ASKED, text(lambda words: words + " Be brief.", "system")),
    "system prompt, removed": (ASKED, asked(system="")),
    "system prompt, white space": (ASKED, text(lambda words: words + "\n", "system")),
    "message": (ASKED, text(lambda words: words + " Now?")),
    "message, white space": (ASKED, text(lambda words: words + " ")),
    "message, letter case": (ASKED, text(lambda words: "W" + words)),
    "message, unicode form": (replace(ASKED, user="caf\u00e9"), asked(user="cafe\u0301")),
    "schema, another class": (ASKED, asked(answer=Renamed)),
    "schema, description": (ASKED, asked(answer=Described)),
    "schema, bound": (ASKED, asked(answer=Bounded)),
    "schema, type": (ASKED, asked(answer=Typed)),
    "schema, null allowed": (ASKED, asked(answer=Optional)),
    "schema, field more": (ASKED, asked(answer=Wider)),
    "schema, constant": (replace(ASKED, answer=Red), asked(answer=Blue)),
    "sample": (ASKED, asked(sample=1)),
    "sample of a conversation": (TALKED, asked(sample=1)),
    "conversation, a turn more": (TALKED, turns(lambda said: (*said, ChatMessage("assistant", "There."), ChatMessage("user", "Sure?")))),
    "conversation, order": (TALKED, turns(lambda said: (said[0], said[3], said[2], said[1]))),
    "conversation, who said it": (TALKED, turns(lambda said: (said[0], said[1], ChatMessage("user", said[2].content), said[3]))),
    "conversation, an earlier answer": (TALKED, turns(lambda said: (*said[:2], ChatMessage("assistant", "No?"), said[3]))),
    "conversation, system message": (TALKED, turns(lambda said: (ChatMessage("system", "You sing."), *said[1:]))),
    "tools, given": (TALKED, asked(tools=(TOOL,))),
    "tools, one less": (TOOLED, asked(tools=(TOOL,))),
    "tools, order": (TOOLED, asked(tools=(OTHER_TOOL, TOOL))),
    "tools, name": (TOOLED, asked(tools=({**TOOL, "name": "see"}, OTHER_TOOL))),
    "tools, description": (TOOLED, asked(tools=({**TOOL, "description": "Sees."}, OTHER_TOOL))),
    "tools, parameters": (TOOLED, asked(tools=({**TOOL, "parameters": {"type": "object", "properties": {}}}, OTHER_TOOL))),
}

DOES_NOT: dict[str, tuple[Question, Change]] = {
    "concurrency, one": (ASKED, lambda question: question.with_client(concurrency=1)),
    "concurrency, many": (ASKED, lambda question: question.with_client(concurrency=500)),
    "budget, given": (ASKED, lambda question: question.with_client(budget_usd=3.0)),
    "budget, huge": (ASKED, lambda question: question.with_client(budget_usd=1e6)),
    "budget, spent": (ASKED, lambda question: question.with_client(budget_usd=0.0)),
    "offline": (ASKED, lambda question: question.with_client(offline=True)),
    "prices": (ASKED, role(prices={"input": 9.0, "output": 99.0})),
    "prices, none": (ASKED, role(prices=None)),
    "prices, of cached input": (ASKED, role(prices={"input": 1.0, "output": 2.0, "cached_input": 0.1})),
    "requests per minute": (ASKED, role(requests_per_minute=60.0)),
    "tokens per minute": (ASKED, role(tokens_per_minute=90000.0)),
    "variable of the key": (ASKED, role(api_key_env="ANOTHER_KEY")),
    "key": (
        replace(ASKED.with_role(api_key_env="ONE_KEY"), environment={"ONE_KEY": "sk-the-first-key-of-all"}),
        asked(environment={"ONE_KEY": "sk-another-key-altogether"}),
    ),
    "header of the key": (ASKED, role(key_header="api-key")),
    "headers": (ASKED, role(headers={"x-title": "mine"})),
    "event stream": (ASKED, role(stream=True)),
    "event stream, of the other vendor": (CLAUDE, role(stream=True)),
    "mark for the prompt cache": (CLAUDE, role(prompt_cache=False)),
    "slash at the end of the address": (ASKED, role(place="/v1/")),
    "recordings of the role": (ASKED, role(recordings="somewhere")),
    "name of the role": (ASKED, asked(name="judge")),
    "other roles": (ASKED, asked(others=("judge", "target"))),
    "order of roles": (replace(ASKED, others=("judge", "target")), asked(others=("target", "judge"))),
    "stage": (ASKED, task(stage="verify")),
    "name of the prompt": (ASKED, task(prompt="whither")),
    "subject": (ASKED, task(subject="elsewhere")),
    "hash of the prompt file": (ASKED, task(prompt_sha256="1" * 64)),
    "timeout, of an answer": (ASKED, asked(constants=((transport, "TOTAL_SECONDS", 1.0),))),
    "timeout, of a connection": (ASKED, asked(constants=((transport, "CONNECT_SECONDS", 1.0),))),
    "longest pause": (ASKED, asked(constants=((quotas, "RETRY_AFTER_CAP", 1.0),))),
    "operations in a commit": (ASKED, asked(constants=((writer, "GROUP", 1),))),
    "proxy": (ASKED, asked(environment={"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost"})),
    "language of the machine": (ASKED, asked(environment={"LANG": "de_DE.UTF-8", "LC_ALL": "C"})),
    "home folder": (ASKED, asked(environment={"HOME": "/nowhere"})),
    "time zone": (ASKED, asked(environment={"TZ": "Asia/Tokyo"})),
    "questions beside it": (ASKED, asked(beside=3)),
    "order of extra fields": (
        ASKED.with_role(extra_body={"a": {"c": 1, "d": 2}, "b": 3}),
        role(extra_body={"b": 3, "a": {"d": 2, "c": 1}}),
    ),
    "spelling of the tools": (TOOLED, asked(tools_text=partial(json.dumps, indent=2))),
}


@contextmanager
def around(question: Question) -> Iterator[None]:
    """The environment and constants of a question."""
    before = {name: os.environ.get(name) for name in question.environment}
    constants = [(module, name, getattr(module, name)) for module, name, _ in question.constants]
    os.environ.update(question.environment)
    for module, name, value in question.constants:
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        for module, name, value in constants:
            setattr(module, name, value)


def config(server: Server, question: Question) -> RoleConfig:
    said = {"provider": "openai", "model": "scripted", "max_tokens": 100, "prices": {"input": 1.0, "output": 2.0}, **question.role}
    place, host = said.pop("place", "/v1"), said.pop("host", "127.0.0.1")
    if said["provider"] == "anthropic":
        place = place.removesuffix("/v1")
    return RoleConfig.model_validate({**said, "base_url": f"http://{host}:{server.port}{place}"})


async def put(question: Question, server: Server, ledger: Path) -> None:
    """Asks it, with a client of its own."""
    with around(question):
        roles = {name: RoleConfig(provider="batch_file", model=name) for name in question.others}  # type: ignore[call-arg]
        own = {"budget_usd": None, "concurrency": 8, **question.client}
        async with open_oracle({**roles, question.name: config(server, question)}, ledger, **own) as oracle:
            beside = [_ask(replace(question, user=f"{question.user} {number}?"), oracle) for number in range(question.beside)]
            await asyncio.gather(_ask(question, oracle), *beside)


def _ask(question: Question, oracle: OracleClient) -> Awaitable[object]:
    if not question.turns:
        return oracle.ask(question.name, question.system, question.user, question.answer, task=question.task, sample=question.sample)
    tools = None if question.tools is None else question.tools_text(list(question.tools))
    return oracle.chat(question.name, question.turns, task=question.task, sample=question.sample, tools_json=tools)


ANSWERS: dict[type[BaseModel], Any] = {Red: {"x": "red"}, Blue: {"x": "blue"}}


async def calls_after(question: Question, changed: Question, ledger: Path) -> int:
    """Requests that `changed` takes once `question` was answered."""
    current = question

    def script(*_: object) -> Act:
        return Act(text=json.dumps(ANSWERS.get(current.answer, {"x": 3, "y": 3})))

    async with scripted_server(script) as server:
        await put(question, server, ledger)
        assert server.count == 1
        current = changed
        await put(changed, server, ledger)
        return server.count - 1


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
few = settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
books = itertools.count()


def about(question: Question, said: str) -> Question:
    """The same question with other words in it."""
    turns = tuple(turn._replace(content=f"{turn.content} {said}") if turn.role == "user" else turn for turn in question.turns)
    return replace(question, user=f"{question.user} {said}", turns=turns)


@pytest.mark.parametrize("name", MATTERS)
@given(said=words)
@few
def test_what_can_change_the_answer_is_asked_again(tmp_path: Path, name: str, said: str) -> None:
    question, change = MATTERS[name]
    question = about(question, said)
    assert asyncio.run(calls_after(question, change(question), tmp_path / f"{next(books)}.sqlite")) == 1


@pytest.mark.parametrize("name", DOES_NOT)
@given(said=words)
@few
def test_what_can_not_change_the_answer_is_not_asked_again(tmp_path: Path, name: str, said: str) -> None:
    question, change = DOES_NOT[name]
    changed = change(question := about(question, said))
    assert asyncio.run(calls_after(question, changed, tmp_path / f"{next(books)}.sqlite")) == changed.beside


@given(old=st.sets(st.integers(0, 50), max_size=20), new=st.sets(st.integers(0, 50), max_size=20))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_new_rows_cost_exactly_as_many_calls_as_there_are(tmp_path: Path, old: set[int], new: set[int]) -> None:
    async def run() -> tuple[int, int]:
        async with scripted_server(lambda *_: Act()) as server:
            ledger = tmp_path / f"{next(books)}.sqlite"
            counts: list[int] = []
            for rows in (old, old | new):
                async with open_oracle({"writer": config(server, ASKED)}, ledger, budget_usd=None, concurrency=8) as oracle:
                    await asyncio.gather(*(_ask(replace(ASKED, user=f"Row {row}"), oracle) for row in rows))
                counts.append(server.count)
            return counts[0], counts[1]

    first, second = asyncio.run(run())
    assert first == len(old)
    assert second - first == len(new - old)


def test_thirty_fields_that_matter_and_thirty_that_do_not_are_tried() -> None:
    assert len(MATTERS) >= 30
    assert len(DOES_NOT) >= 30
