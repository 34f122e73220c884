"""A crawl in a process of its own: `python -m benchmarks.fetch_client FOLDER PORT HOSTS PAGES RATE`, one line of JSON at the end."""

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.fetch_farm import farm
from castalia.web import open_web


async def crawl(folder: Path, port: int, hosts: int, pages: int, rate: float) -> dict[str, object]:
    """Asks for every page of the farm."""
    places = farm(hosts, pages, rate)
    web = open_web(folder, user_agent="castalia/0.1", rate_per_host=rate, connect_to={host.name: f"127.0.0.1:{port}" for host in places})
    problems: Counter[str] = Counter()
    before = time.process_time()
    begun = ended = time.monotonic()
    try:
        async for fetched in web.fetch_all((url for host in places for url in host.urls()), "farm"):
            problems[fetched.problem] += 1
            ended = time.monotonic()
    finally:
        await web.close()
    return {
        "pages": problems.pop("", 0),
        "problems": dict(problems),
        "seconds": ended - begun,
        "cpu_seconds": time.process_time() - before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    name, port_, hosts_, pages_, rate_ = sys.argv[1:]
    print(json.dumps(asyncio.run(crawl(Path(name), int(port_), int(hosts_), int(pages_), float(rate_)))))
