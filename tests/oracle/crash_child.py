"""Processes that ask for some answers and can be killed at a failpoint.

`crash_child.py FOLDER BASE_URL FIRST LAST` is one of them. `crash_child.py` alone is a nursery: it has everything imported, and forks a
child for each line of JSON it reads, `{"arguments": [...], "failpoint": ..., "output": path}`, so that a kill in a test costs milliseconds
instead of an interpreter's start. It answers with `{"pid": ...}` and later `{"pid": ..., "code": ...}`.

A child writes the ledger key and raw answer of every reply it got as JSON lines, so that a test knows what was acknowledged.
"""

import asyncio
import json
import logging
import os
import select
import sys
from pathlib import Path
from typing import TextIO

sys.path.insert(0, str(Path(__file__).parent))

import aiohttp  # noqa: F401  # imported late by the client, here before the fork
from oracle_cases import Point, client, role, task

import castalia.oracle.providers.openai  # noqa: F401
from castalia.oracle.failpoints import arm


async def work(output: TextIO, folder: Path, base_url: str, subjects: range) -> None:
    async with client(folder, role(base_url), budget_usd=5.0, concurrency=4) as oracle:

        async def one(subject: str) -> None:
            reply = await oracle.ask("writer", "You extract.", f"Extract {subject}.", Point, task=task(subject))
            print(json.dumps([reply.key, reply.raw.decode()]), file=output, flush=True)

        await asyncio.gather(*(one(str(number)) for number in subjects))


def main(output: TextIO, arguments: list[str]) -> None:
    folder, base_url, first, last = arguments
    asyncio.run(work(output, Path(folder), base_url, range(int(first), int(last))))


def nursery() -> None:
    pending = b""
    children: set[int] = set()
    while True:
        readable, _, _ = select.select([0], [], [], 0.01)
        if readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                children.add(pid := fork(json.loads(line)))
                say({"pid": pid})
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.remove(pid)
                say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def fork(order: dict[str, str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        arm(order["failpoint"])
        with Path(order["output"]).open("w", encoding="utf-8") as output:
            main(output, list(order["arguments"]))
        code = 0
    except BaseException:
        logging.exception("the child failed")
    os._exit(code)


def say(answer: dict[str, int]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.stdout, sys.argv[1:])
    else:
        nursery()
