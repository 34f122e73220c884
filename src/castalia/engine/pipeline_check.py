"""Whether a list of stages fits together, and which stages depend on which. Pure; nothing is read or run."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches

from castalia.engine.stage import Stage
from castalia.errors import ConfigError
from castalia.records import Record


def check_pipeline(stages: Sequence[Stage]) -> None:
    """Raises ConfigError naming every way in which the stages don't fit together."""
    problems = [*_misfits(stages)]
    if problems:
        raise ConfigError("these stages don't make a pipeline: " + "; ".join(problems))


def check_names(names: Collection[str], stages: Sequence[Stage], flag: str) -> None:
    """Raises ConfigError for a name that is no stage, with the nearest one that is."""
    known = [stage.name for stage in stages]
    for name in sorted({*names} - {*known}):
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"stages are: {', '.join(known)}"
        raise ConfigError(f"{flag} names {name!r}, which is no stage; {hint}")


def downstream(names: Collection[str], stages: Sequence[Stage]) -> set[str]:
    """The named stages and every stage that reads, directly or not, what they write."""
    covered = set(names)
    datasets = {dataset for stage in stages if stage.name in covered for dataset in stage.outputs}
    for stage in stages:
        if datasets & stage.reads.keys():
            covered.add(stage.name)
        if stage.name in covered:
            datasets.update(stage.outputs)
    return covered


def _misfits(stages: Sequence[Stage]) -> Iterator[str]:
    names: set[str] = set()
    written: dict[str, tuple[str, type[Record]]] = {}
    all_written = {dataset for stage in stages for dataset in stage.outputs}
    for stage in stages:
        if stage.name in names:
            yield f"two stages are named {stage.name!r}"
        names.add(stage.name)
        for dataset, record_type in stage.reads.items():
            if dataset in written and written[dataset][1] is not record_type:
                yield (
                    f"stage {stage.name!r} reads {dataset!r} as {record_type.__name__}, but {written[dataset][0]!r} writes "
                    f"{written[dataset][1].__name__}"
                )
            if dataset not in written and dataset in all_written and dataset not in stage.optional:
                yield f"stage {stage.name!r} reads {dataset!r} before it is written; move the stage down, or make the read optional"
        for dataset, record_type in stage.outputs.items():
            if dataset in written:
                yield f"dataset {dataset!r} is written by {written[dataset][0]!r} and by {stage.name!r}"
            written[dataset] = (stage.name, record_type)
