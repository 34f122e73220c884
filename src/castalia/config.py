"""One typed configuration. YAML is a sparse view of it: everything left out has a default one would defend.

Precedence: defaults < files left to right < `--set a.b=c`. No code and no interpolation in YAML; secrets only by the name
of an environment variable.
"""

import difflib
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from castalia.errors import ConfigError, InputError
from castalia.oracle import RoleConfig
from castalia.records import Mix, StatedLicence
from castalia.sandbox import RunnerConfig
from castalia.web.search.provider import TermsUse
from castalia.web.search.settings import SearchSettings
from castalia.web.urls import canonical_url


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class TargetConfig(_Section):
    """The model that is trained and measured."""

    model: str = Field(
        default="openai/gpt-oss-20b", description="Hub id or local folder; `smollm2-135m-instruct` is the demo's, from its PyPI wheel."
    )
    harmony_preamble: Literal["full", "none"] = Field(
        default="full", description="`none` leaves the system message out: tiny targets only."
    )


class SourcesConfig(_Section):
    """Where pages come from and under which licences they may be used."""

    sites: tuple[str, ...] = Field(default=(), description="URL prefixes to collect from.")
    licences: str | tuple[str, ...] = Field(default="permissive", description="A policy name, or the SPDX ids that are allowed.")
    licence_files: tuple[str, ...] = Field(default=(), description="Paths or URLs to look for licence texts, beside the conventional ones.")
    stated_licences: tuple[StatedLicence, ...] = Field(
        default=(), description="Licences of sites that say nothing a program can read: `{url, spdx, reason}`; recorded as your evidence."
    )
    include: tuple[str, ...] = Field(default=(), description="Regular expressions; a URL must match one, where any is given.")
    exclude: tuple[str, ...] = Field(default=(), description="Regular expressions of URLs to leave out.")
    search: tuple[str, ...] = Field(default=("site",), description="Search providers, in order.")
    search_terms: tuple[TermsUse, ...] = Field(
        default=(), description="What the terms of every search provider must be known to allow: `store`, `train`; any other is refused."
    )
    max_pages: int = Field(default=1000, ge=1, description="At most so many pages.")

    # What collection would refuse is refused here, because the stages before it are paid for.

    @field_validator("sites")
    @classmethod
    def _addresses(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        for site in sites:
            if canonical_url(site) is None:
                raise ValueError(f"{site!r} is no address of a site; write it in full, e.g. https://docs.example.org/")
        return sites

    @field_validator("licences")
    @classmethod
    def _policy(cls, licences: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if licences != "permissive":
            from castalia.web.licences import Policy  # brings the SPDX index, which takes a while to load

            try:
                Policy.named(licences)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return licences

    @field_validator("stated_licences")
    @classmethod
    def _statements(cls, stated: tuple[StatedLicence, ...]) -> tuple[StatedLicence, ...]:
        for statement in stated:
            if canonical_url(statement.url) is None:
                raise ValueError(f"{statement.url!r} is no address; write a URL prefix in full, e.g. https://docs.example.org/")
            cls._policy((statement.spdx,))
        return stated

    @field_validator("include", "exclude")
    @classmethod
    def _expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class SandboxConfig(_Section):
    """How foreign code is run."""

    tier: Literal["auto", "A", "B"] = Field(default="auto", description="Weakest acceptable isolation; auto takes the strongest there is.")
    runners: dict[str, RunnerConfig] = Field(default={}, description="Runners beside `python`, `rust` and `shell`, by name.")
    packages: tuple[str, ...] = Field(default=(), description="Installed distributions that tools of agent traces may import.")


class ExecutionConfig(_Section):
    """Speed, money and places: never part of any identity."""

    engine: Literal["native", "ray"] = Field(default="native", description="Daft's native runner, or a Ray cluster.")
    budget_usd: float | None = Field(default=None, ge=0, description="Hard cap on money; None asks without a cap.")
    concurrency: int = Field(default=64, ge=1, description="Calls in flight at most.")
    workers: int | None = Field(
        default=None, ge=0, description="Processes for stages that ask nobody; 0 works in this one, None starts some where it pays."
    )
    store: str = Field(default=".castalia", description="Folder or object store URI of all datasets, ledger and archive.")
    connect_to: dict[str, str] = Field(default={}, description="Host to HOST:PORT, as curl's --connect-to: for sites served locally.")
    allow_private: tuple[str, ...] = Field(default=(), description="Private address ranges the fetcher may reach; none by default.")
    pages_per_second: float = Field(default=1.0, gt=0, description="Per host, unless its robots.txt asks for less.")
    user_agent: str = Field(
        default="castalia/0.1 (+https://example.org/castalia)", description="Give your own address, so that hosts can reach you."
    )


class EvaluationConfig(_Section):
    """How the target is measured."""

    seed: int = Field(default=0, description="Of generation and bootstrap.")
    guards: dict[str, tuple[str, ...]] = Field(
        default={}, description="Taxonomy nodes watched beside the categories, e.g. `safety: [behavioral/untrusted-input]`."
    )
    recorded_answers: str | None = Field(default=None, description="JSONL with the target's recorded DEV answers, to mine failures from.")


class Config(_Section):
    """The whole configuration."""

    name: str = Field(default="castalia", pattern=r"^[a-z0-9][a-z0-9-]*$", description="Names runs and releases.")
    domain: str = Field(min_length=1, description="What the target should become good at, in words for the oracle.")
    target: TargetConfig = TargetConfig()
    oracles: dict[str, RoleConfig] = Field(
        default={}, description="Roles: writer, extractor, judge, target. Missing ones fall back to writer."
    )
    sources: SourcesConfig = SourcesConfig()
    search: dict[str, SearchSettings] = Field(
        default={}, description="Settings of search providers, by the name that `sources.search` and `stages.verify.search` use."
    )
    stages: dict[str, dict[str, Any]] = Field(default={}, description="Params of stages, by stage name.")
    sandbox: SandboxConfig = SandboxConfig()
    mix: Mix = Mix()
    training: str | None = Field(default=None, description="Path of the recipe, beside the configuration; needed to train.")
    evaluation: EvaluationConfig = EvaluationConfig()
    execution: ExecutionConfig = ExecutionConfig()


def load_config(
    files: Sequence[Path],
    assignments: Sequence[str] = (),
    *,
    beneath: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Config:
    """The configuration of `files` and `--set` assignments such as `stages.extract.max_atoms=8`.

    `beneath` are values of the caller, laid over the files and under the assignments, `defaults` lie under the files; paths in both are
    absolute. Relative paths inside a
    file are taken from that file's folder. Raises InputError for a file that can't be read, ConfigError for everything wrong inside,
    naming the key and the nearest known one.
    """
    merged: dict[str, Any] = dict(defaults or {})
    for path in files:
        try:
            merged = _merge(merged, _resolve_paths(_read_yaml(path), path.parent))
        except RecursionError as error:
            raise ConfigError(f"configuration {str(path)!r} holds an alias (`*name`) that contains itself; write the value out") from error
    merged = _merge(merged, beneath or {})
    for assignment in assignments:
        merged = _merge(merged, _resolve_paths(_parse_assignment(assignment), Path()))
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, Config)) from error


def explain_validation(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One line per problem, each with its path below `where`, and a suggestion for unknown keys."""
    return _explain(error, model, where)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"configuration {str(path)!r} can't be read: {error.strerror}. `castalia init` writes one.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"configuration {str(path)!r} is not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error
    try:
        loaded = yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date such as 2026-99-99
        raise ConfigError(f"configuration {str(path)!r} is not YAML: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"configuration {str(path)!r} holds a {type(loaded).__name__}; it must be a mapping of keys to values")
    return cast("dict[str, Any]", loaded)


class _StrictLoader(yaml.SafeLoader):
    """YAML's plain values only. A key given twice is an error (YAML 1.2, 3.2.1.3): the first value would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse_assignment(assignment: str) -> dict[str, Any]:
    key, equals, value = assignment.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"--set {assignment!r} is not of the form key.subkey=value")
    try:
        nested: Any = yaml.load(value, _StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"--set {assignment!r}: the value is not YAML: {error}") from error
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return nested


def _merge(low: dict[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`high` laid over `low`: mappings merge, everything else is replaced."""
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], cast("dict[str, Any]", value)) if both else value
    return merged


_PATHS = (
    ("oracles", "*", "recordings"),
    ("sandbox", "runners", "*", "harness"),
    ("stages", "verify", "policy"),
    ("training",),
    ("evaluation", "recorded_answers"),
    ("execution", "store"),
)


def replace_paths(value: Any, change: Callable[[str], str], paths: Sequence[tuple[str, ...]] = _PATHS) -> Any:
    """A configuration as plain values, with the few values that are paths replaced."""
    if isinstance(value, str) and () in paths:
        return change(value)
    if not isinstance(value, dict):
        return value
    return {
        key: replace_paths(inner, change, [path[1:] for path in paths if path and path[0] in (key, "*")])
        for key, inner in cast("dict[str, Any]", value).items()
    }


def _resolve_paths(value: Any, folder: Path) -> Any:
    """Makes paths absolute, so that a configuration means the same from every working folder."""
    return replace_paths(value, lambda path: _absolute(path, folder))


def _absolute(path: str, folder: Path) -> str:
    return path if "://" in path or Path(path).is_absolute() else os.path.normpath(folder.absolute() / path)


def _explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    lines = [_explain_one(problem, model, where) for problem in error.errors()]
    return lines[0] if len(lines) == 1 else "the configuration has several problems:\n  " + "\n  ".join(lines)


def _explain_one(problem: Any, model: type[BaseModel], where: str) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join([where, *location] if where else location)
    if problem["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys there: {', '.join(known)}"
        return f"unknown key {path!r}: {hint}"
    if problem["type"] == "missing":
        return f"{path!r} is missing and has no default; add it to the configuration, or give --set {path}=..."
    if problem["type"] == "string_too_short" and not problem["input"]:
        return f"{path!r} is empty; fill it in"
    if problem["type"] == "value_error":  # raised by our own validators, which name the value and the rule
        return f"{path!r}: {problem['ctx']['error']}"
    rule = "it must be a list, e.g. [one, two]" if problem["type"] == "tuple_type" else problem["msg"]
    return f"{path!r} is {problem['input']!r}: {rule}"


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> set[str]:
    """Names of the fields of the model that `location` leads to, through mappings, unions and tuples."""
    current: Any = model
    for part in location:
        found = next((inner for inner in _models_in(current) if part in inner.model_fields), None)
        current = found.model_fields[part].annotation if found else current
    return {name for inner in _models_in(current) for name in inner.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (dict, tuple, list, Union, types.UnionType):
        for inner in get_args(annotation):
            yield from _models_in(inner)
