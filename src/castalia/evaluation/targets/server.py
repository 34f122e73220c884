"""A model behind an OpenAI-compatible completions endpoint that takes and gives token ids, as vLLM does.

Text never stands between model and parser: `return_token_ids` asks for ids, and a server that answers without them is refused.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import aiohttp

from castalia.errors import InputError
from castalia.evaluation.targets.target import Completion
from castalia.harmony import Vocabulary
from castalia.harmony.vocabulary import CALL, RETURN

ATTEMPTS, FIRST_WAIT_S = 4, 0.5
LOOK_S = 10.0


def check_served(base_url: str, model: str, *, api_key: str = "") -> None:
    """Asks the server which models it has, so that a wrong address or name is known before the first item.

    Raises InputError naming the server: unreachable, refusing the key, no OpenAI-compatible server, or without that model.
    """
    asyncio.run(_check(base_url, model, _headers(api_key)))


async def _check(base_url: str, model: str, headers: Mapping[str, str]) -> None:
    url = f"{base_url.rstrip('/')}/models"
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=LOOK_S)) as session,
            session.get(url) as response,
        ):
            status, text = response.status, (await response.content.read(1 << 20)).decode("utf-8", errors="replace")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise InputError(
            f"server {base_url!r} can't be reached ({type(error).__name__}: {error}); check the address and that it runs"
        ) from error
    if status in (401, 403):
        raise InputError(f"server {base_url!r} refused with status {status}; name the variable that holds its key with --api-key-env")
    try:
        served = sorted(str(entry["id"]) for entry in json.loads(text)["data"]) if status == 200 else None
    except (ValueError, KeyError, TypeError):
        served = None
    if served is None:
        raise InputError(
            f"{url!r} gave status {status} and no list of models: this is no OpenAI-compatible server; its address mostly ends in /v1"
        )
    if model not in served:
        raise InputError(f"server {base_url!r} has no model {model!r}; it serves {', '.join(map(repr, served)) or 'none'}")


def _headers(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


class ServerTarget:
    """`base_url` as in `http://localhost:8000/v1`; `model` as the server calls it."""

    def __init__(
        self, base_url: str, model: str, vocabulary: Vocabulary, *, api_key: str = "", concurrency: int = 32, timeout_s: float = 600
    ) -> None:
        self.name = model
        self.identity = f"{model} completions {vocabulary.name}"
        self.vocabulary = vocabulary
        self.chunk = 8 * concurrency
        self._url = f"{base_url.rstrip('/')}/completions"
        self._headers = _headers(api_key)
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._stops = [vocabulary.special[RETURN], vocabulary.special[CALL]]

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_tokens: Sequence[int], seed: int, temperature: float = 0.0, n: int = 1
    ) -> list[list[Completion]]:
        """Completions per prompt. Raises InputError when the server stays away, refuses, or gives no token ids."""
        requests = [
            {
                "model": self.name,
                "prompt": list(prompt),
                "max_tokens": limit,
                "temperature": temperature,
                "n": n,
                "seed": seed,
                "stop_token_ids": self._stops,
                "skip_special_tokens": False,
                "return_token_ids": True,
            }
            for prompt, limit in zip(prompts, max_tokens, strict=True)
        ]
        return asyncio.run(self._all(requests))

    async def _all(self, requests: Sequence[dict[str, Any]]) -> list[list[Completion]]:
        gate = asyncio.Semaphore(self._concurrency)
        async with aiohttp.ClientSession(headers=self._headers, timeout=self._timeout) as session:

            async def one(request: dict[str, Any]) -> list[Completion]:
                async with gate:
                    return self._completions(await self._post(session, request), request["n"])

            return list(await asyncio.gather(*(one(request) for request in requests)))

    async def _post(self, session: aiohttp.ClientSession, request: dict[str, Any]) -> Any:
        trouble = ""
        for attempt in range(ATTEMPTS):
            try:
                async with session.post(self._url, json=request) as response:
                    if response.status == 200:
                        return self._json(await response.read())
                    trouble = f"status {response.status}: {(await response.text())[:200]}"
                    if response.status < 500 and response.status != 429:
                        raise InputError(
                            f"server {self._url!r} refused the request with {trouble}; check the model's name and its settings"
                        )
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                trouble = f"{type(error).__name__}: {error}"
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(FIRST_WAIT_S * 2**attempt)
        raise InputError(f"server {self._url!r} did not answer {ATTEMPTS} times, last with {trouble}; check that it runs, then run again")

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            raise InputError(
                f"server {self._url!r} answered with {body[:80]!r}, which is no JSON; check that the address is a model server's"
            ) from error

    def _completions(self, answer: Any, n: int) -> list[Completion]:
        listed = cast("dict[str, Any]", answer).get("choices") if isinstance(answer, dict) else None
        choices = sorted(cast("list[dict[str, Any]]", listed or []), key=lambda choice: choice.get("index", 0))
        if len(choices) != n or any(not isinstance(choice.get("token_ids"), list) for choice in choices):
            raise InputError(
                f"server {self._url!r} answered with {len(choices)} choices, {n} were asked, or without token_ids; "
                f"Harmony is parsed by token ids only: use a server that returns them, such as vLLM 0.10.2 or newer"
            )
        return [self._completion(choice) for choice in choices]

    def _completion(self, choice: dict[str, Any]) -> Completion:
        ids = tuple(int(token) for token in choice["token_ids"])
        # a stop by another token, such as the model's own end of text, is no finished Harmony; some servers strip the stop token
        stopped_by = choice.get("stop_reason")
        return Completion(ids, (bool(ids) and ids[-1] in self._stops) or stopped_by in self._stops)
