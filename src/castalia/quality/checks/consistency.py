"""Layer 2: a judge compares every record with the blocks it cites."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from castalia.quality.check import CheckContext, Finding, GroupCheck
from castalia.quality.checks.judge import ask_judge, source_blocks
from castalia.quality.planting import Maker, Planted, denied_answer, good_answer, swapped_answers
from castalia.quality.view import View
from castalia.records import CanaryKind


async def _consistency(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    return await ask_judge("consistency", views, ctx, sources=source_blocks(views, ctx.documents), needs_block=True)


def _canaries(views: Sequence[View], ctx: CheckContext) -> Mapping[CanaryKind, Sequence[Maker]]:
    swapped = swapped_answers(ctx.documents, views)

    def denied(view: View) -> Planted | None:
        return denied_answer(view, ctx.documents)

    def good(view: View) -> Planted | None:
        return good_answer(view, ctx.documents)

    return {"good": (good,), "bad": (swapped, denied), "injected": (denied, swapped)}


CONSISTENCY = GroupCheck(
    "consistency", _consistency, applies=lambda _: True, prompt=Path(__file__).with_name("consistency.md"), canaries=_canaries
)
