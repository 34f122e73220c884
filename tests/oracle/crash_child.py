"""A process that asks for some answers and can be killed at a failpoint: `crash_child.py FOLDER BASE_URL FIRST LAST`.

Prints the ledger key and raw answer of every reply it got, as JSON lines, so that a test knows what was acknowledged.
"""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from oracle_cases import Point, client, role, task


async def main(folder: Path, base_url: str, subjects: range) -> None:
    async with client(folder, role(base_url), budget_usd=5.0, concurrency=4) as oracle:

        async def one(subject: str) -> None:
            reply = await oracle.ask("writer", "You extract.", f"Extract {subject}.", Point, task=task(subject))
            print(json.dumps([reply.key, reply.raw.decode()]), flush=True)

        await asyncio.gather(*(one(str(number)) for number in subjects))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], range(int(sys.argv[3]), int(sys.argv[4]))))
