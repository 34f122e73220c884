"""Layer 2: a judge compares every record with the blocks it cites."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from castalia.quality.check import CheckContext, Finding, GroupCheck
from castalia.quality.checks.judge import ask_judge, source_blocks
from castalia.quality.view import View


async def _consistency(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    return await ask_judge("consistency", views, ctx, sources=source_blocks(views, ctx.documents), needs_block=True)


CONSISTENCY = GroupCheck("consistency", _consistency, applies=lambda _: True, prompt=Path(__file__).with_name("consistency.md"))
