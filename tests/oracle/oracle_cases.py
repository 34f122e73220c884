"""Small values the tests of the oracle share."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from castalia.oracle import OracleClient, Prices, RoleConfig, Task, open_oracle


class Point(BaseModel):
    """The answer most tests ask for."""

    x: int = Field(ge=0)


def task(subject: str, prompt: str = "extract") -> Task:
    return Task(stage="extract", prompt=prompt, subject=subject, prompt_sha256="a" * 64)


def role(base_url: str, provider: str = "openai", **changes: Any) -> RoleConfig:
    settings: dict[str, Any] = {"model": "scripted", "max_tokens": 100, "prices": Prices(input=1.0, output=2.0), **changes}
    return RoleConfig(provider=provider, base_url=base_url, **settings)


def client(folder: Path, config: RoleConfig, **changes: Any) -> OracleClient:
    settings: dict[str, Any] = {"budget_usd": None, **changes}
    return open_oracle({"writer": config}, folder / "ledger.db", **settings)
