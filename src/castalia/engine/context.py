"""What a stage may use beside its records: the oracle, its prompts, side datasets, the web, the sandbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from castalia.engine.prompts import render_prompt
from castalia.errors import ConfigError
from castalia.oracle import OracleClient, Reply, Task
from castalia.records import Record

T = TypeVar("T", bound=BaseModel)
T_made = TypeVar("T_made")


class Answer(NamedTuple, Generic[T]):
    """A validated answer and the ledger key of the call that gave it."""

    value: T
    call: str


@dataclass(frozen=True)
class Context:
    """Handed to ask and whole stages."""

    stage: str
    roles: tuple[str, ...]
    prompts: Mapping[str, Path]
    oracle: OracleClient | None
    side: Mapping[str, Sequence[Record]] = field(default_factory=dict[str, Sequence[Record]])
    services: Mapping[str, Any] = field(default_factory=dict[str, Any])
    progress: Callable[[int], None] = lambda _: None
    made: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    async def ask(
        self,
        prompt: str,
        subject: str,
        values: Mapping[str, object],
        answer: type[T],
        *,
        role: str | None = None,
    ) -> Answer[T]:
        """Renders prompt file `prompt` with `values`, asks `role` (default: the stage's first), validates as `answer`.

        `subject` is the stable name of what is asked about; a recording answers by (prompt, subject). Raises
        AnswerUnusable when the answer stays invalid after the recorded repairs, so that the stage can yield a Reject.
        """
        reply = await self.reply(prompt, subject, values, answer, role=role)
        return Answer(reply.value, reply.key)

    async def reply(
        self,
        prompt: str,
        subject: str,
        values: Mapping[str, object],
        answer: type[T],
        *,
        role: str | None = None,
    ) -> Reply[T]:
        """As `ask`, with the name of the model that answered and its bytes."""
        if self.oracle is None or not self.roles:
            raise ConfigError(f"stage {self.stage!r} asks prompt {prompt!r} without an oracle role; declare `oracle=(ROLE,)` in its Stage")
        if prompt not in self.prompts:
            raise ConfigError(f"stage {self.stage!r} asks with prompt {prompt!r}, but declares {sorted(self.prompts)}; add the file")
        rendered = render_prompt(self.prompts[prompt], values)
        task = Task(stage=self.stage, prompt=prompt, subject=subject, prompt_sha256=rendered.template_sha256)
        return await self.oracle.ask(role or self.roles[0], rendered.system, rendered.user, answer, task=task)

    def once(self, name: str, make: Callable[[], T_made]) -> T_made:
        """What `make` gives, made when it is first wanted in this run of the stage: an index over a side dataset, say."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def service(self, name: str) -> Any:
        """A service the runner was given: `web`, `sandbox`."""
        if name not in self.services:
            raise ConfigError(f"stage {self.stage!r} needs the service {name!r}; this run was given {sorted(self.services) or 'none'}")
        return self.services[name]
