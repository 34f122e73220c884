"""What makes a stage's output what it is. Two runs with equal parts make equal datasets; nothing else is in it.

In: the stage's name and version, its params, the content of its inputs, its prompt files, the columns it writes, and
who answers for the oracle roles it uses. Never in: workers, paths, keys, budget, retries, time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from castalia.engine.prompts import prompt_hash
from castalia.engine.stage import Params, Stage
from castalia.errors import ConfigError
from castalia.records import canonical_json, content_hash
from castalia.store import schema_text

# (role, names of the stage's prompts) -> what decides this role's answers: provider, model, sampling.
RoleIdentity = Callable[[str, Sequence[str]], Mapping[str, Any]]

Parts = dict[str, Any]


def fingerprint_parts(stage: Stage, params: Params, contents: Mapping[str, str], role_identity: RoleIdentity | None) -> Parts:
    """The parts of a stage's identity as plain JSON values. `contents` maps the inputs that exist to their content hash.

    Raises ConfigError when a param can't be written as JSON, or a role has no identity.
    """
    roles = stage.roles(params)
    if roles and role_identity is None:
        raise ConfigError(f"stage {stage.name!r} asks {list(roles)}, but nothing says who plays these roles; configure `oracles`")
    names = [path.stem for path in stage.prompts]
    parts: Parts = {
        "stage": stage.name,
        "version": stage.version,
        "params": params.model_dump(mode="python"),
        "inputs": dict(contents),
        "prompts": {path.name: prompt_hash(path) for path in stage.prompts},
        "writes": {dataset: list(schema_text(record_type)) for dataset, record_type in stage.writes.items()},
        "oracle": {role: dict(role_identity(role, names)) for role in roles} if role_identity else {},
    }
    for name, part in parts.items():
        try:
            canonical_json(part)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"stage {stage.name!r} has {name} {part!r:.200} that can't be part of its identity: {error}; "
                f"use text, finite numbers, booleans, None, tuples and mappings of them"
            ) from error
    return parts


def fingerprint(parts: Parts) -> str:
    """The identity itself: the hash of the canonical JSON of the parts, which is also their name in the store."""
    return content_hash(parts)


def explain_change(old: Parts, new: Parts) -> Iterator[str]:
    """What differs between two identities, in words a user can act on."""
    if old.get("version") != new["version"]:
        yield f"the stage went from version {old.get('version')!r} to {new['version']!r}"
    for name in _differing(old.get("params", {}), new["params"]):
        yield f"param {name!r} changed from {_short(old.get('params', {}), name)} to {_short(new['params'], name)}"
    for name in _differing(old.get("inputs", {}), new["inputs"]):
        yield f"input {name!r} {_appeared(old.get('inputs', {}), new['inputs'], name)}"
    for name in _differing(old.get("prompts", {}), new["prompts"]):
        yield f"{name} {_appeared(old.get('prompts', {}), new['prompts'], name)}"
    for name in _differing(old.get("writes", {}), new["writes"]):
        yield f"the columns of {name!r} changed"
    for role in _differing(old.get("oracle", {}), new["oracle"]):
        before, after = old.get("oracle", {}).get(role, {}), new["oracle"].get(role, {})
        yield f"oracle role {role!r} changed: " + ", ".join(
            f"{name} from {_short(before, name)} to {_short(after, name)}" for name in _differing(before, after)
        )


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    # Old parts come from JSON, where a tuple is a list, so values are compared as JSON.
    absent = object()
    return [
        name
        for name in sorted({*old, *new})
        if old.get(name, absent) is absent or new.get(name, absent) is absent or canonical_json(old[name]) != canonical_json(new[name])
    ]


def _appeared(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> str:
    if name not in old:
        return "is new"
    return "changed" if name in new else "is gone"


def _short(values: Mapping[str, Any], name: str) -> str:
    text = canonical_json(values[name]) if name in values else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."
