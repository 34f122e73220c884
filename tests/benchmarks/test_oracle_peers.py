"""Other frameworks beside ours: measured like the bare client, and what they can't do is a reason, not an exception."""

import sys
from pathlib import Path

import pytest
from benchmarks.model_server import ModelServer, model_server
from benchmarks.oracle_bench import Bench, ClientFailed, Peer
from benchmarks.oracle_peers import PACKAGES, or_reason, peers

from benchmarks import oracle_bench

PLAIN = """
import json, urllib.request
from benchmarks.peers.asked import MODEL, main

def answers(asked):
    for question in asked.questions:
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": question}]}]}).encode()
        with urllib.request.urlopen(f"{asked.base_url}/chat/completions", body) as reply:
            yield json.loads(reply.read())["choices"][0]["message"]["content"]

main(answers)
"""


@pytest.fixture(scope="module")
def server():
    with model_server() as running:
        yield running


def peer(folder: Path, source: str) -> Peer:
    script = folder / "peer.py"
    script.write_text(source)
    return Peer("plain 1.0", [sys.executable, "-P", str(script)])


def test_a_peer_is_measured_by_its_right_answers_and_by_what_the_server_saw(tmp_path: Path, server: ModelServer):
    found = Bench(server, tmp_path).measure(peer(tmp_path, PLAIN), 5, 2, tmp_path, delay=0.01)
    assert found["answers"] == 5
    assert found["cpu_seconds"] > 0
    assert server.bill().answered == 5 + 3  # with the warm-up
    assert 4 * 0.01 < server.bill().seconds <= found["seconds"]


def test_a_wrong_answer_does_not_count(tmp_path: Path, server: ModelServer):
    wrong = PLAIN.replace('["content"]\n', '["content"].replace("question 3", "question 4")\n')
    assert Bench(server, tmp_path).measure(peer(tmp_path, wrong), 5, 2, tmp_path, delay=0.0)["answers"] == 4


def test_a_peer_that_breaks_gives_its_last_words_as_the_reason(tmp_path: Path, server: ModelServer):
    bench, nulls = Bench(server, tmp_path), dict[str, str]()
    broken = peer(tmp_path, "raise RuntimeError('no such backend')")
    or_reason(bench, broken, "calls_per_s_64", lambda: bench.measure(broken, 5, 2, tmp_path), nulls)
    assert nulls == {"plain 1.0 calls_per_s_64": "RuntimeError: no such backend (0 calls were paid in that run)"}


def test_a_peer_that_hangs_is_ended(tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(oracle_bench, "PEER_SECONDS", 0.5)
    with pytest.raises(ClientFailed, match="no end within"):
        Bench(server, tmp_path).measure(peer(tmp_path, "import time; time.sleep(60)"), 5, 2, tmp_path)


def test_peers_are_measured_only_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CASTALIA_BENCHMARK_PEERS", raising=False)
    nulls: dict[str, str] = {}
    assert peers(nulls) == []
    assert nulls.keys() == PACKAGES.keys()
    assert all("--peers" in reason for reason in nulls.values())
