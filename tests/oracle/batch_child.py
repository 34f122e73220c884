"""A process that submits a batch, or takes its results in, and can be killed at a failpoint: `batch_child.py FOLDER PROVIDER BASE_URL CALLS`."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from batch_cases import ask_all


async def main(folder: Path, provider: str, base_url: str, calls: int) -> None:
    await ask_all(folder, provider, base_url, calls)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
