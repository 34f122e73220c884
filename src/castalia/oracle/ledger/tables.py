"""The ledger's tables and how its file is opened.

calls     one row per key: planned -> sent -> done | failed; sent -> in_doubt after a crash
requests  what each call asks, written once: rows that change stay small
attempts  one row per request that may have reached a provider, with its reserved worst case
answers   the raw bytes that came back to an attempt, written once, before anything parses them
submissions  batches at a provider, written down before the provider hears of them; submission_calls: their calls
totals    sums over done calls by stage, role, provider, model and prompt, kept by a trigger: usage never reads every call
schemaless  models whose server refused the JSON-schema mode, with its words: they are asked by prompt
hits      how often a done call was answered again for nothing
owners    processes that hold leases; each also holds a lock on a file, so that its death shows at once
meta      version, money in nano-dollars (`written_off`: of doubts that a person settled as billed), head of the hash chain

Triggers make `done` immutable and forbid attempts after it, whatever program opens the file.
"""

import sqlite3
from pathlib import Path

from castalia.errors import StorageFull, StoreError

VERSION = 6
CHECKPOINT_PAGES = 8192
"""Of 4 KiB: copying the log into the file stops all writers for a moment, so it is done seldom."""
CACHE_KIB = 16384

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE owners (token TEXT PRIMARY KEY, pid INTEGER NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('planned', 'sent', 'done', 'failed', 'in_doubt')),
  stage TEXT NOT NULL, role TEXT NOT NULL, prompt TEXT NOT NULL, subject TEXT NOT NULL,
  prompt_sha256 TEXT NOT NULL, sample INTEGER NOT NULL,
  provider TEXT NOT NULL, base_url TEXT NOT NULL, model TEXT NOT NULL, sampling TEXT NOT NULL,
  system_sha256 TEXT NOT NULL, redacted INTEGER NOT NULL,
  price_in INTEGER NOT NULL, price_out INTEGER NOT NULL, price_cached INTEGER NOT NULL, price_written INTEGER NOT NULL,
  worst INTEGER NOT NULL,
  repair_of TEXT, repair_reason TEXT, note TEXT NOT NULL,
  owner TEXT, fence INTEGER NOT NULL, planned_at REAL NOT NULL, sent_at REAL, done_at REAL,
  attempt INTEGER, answer INTEGER REFERENCES answers, answer_sha256 TEXT, tokens_in INTEGER, tokens_out INTEGER, tokens_cached INTEGER,
  tokens_reasoning INTEGER,
  tokens_estimated INTEGER,
  cost INTEGER, stop TEXT, answered_model TEXT, failure TEXT, seq INTEGER UNIQUE, chain TEXT
);
CREATE INDEX calls_open ON calls (state, owner) WHERE state != 'done';
CREATE INDEX calls_repairs ON calls (repair_of) WHERE repair_of IS NOT NULL;
CREATE TABLE requests (call INTEGER PRIMARY KEY REFERENCES calls, request TEXT NOT NULL);
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, call INTEGER NOT NULL REFERENCES calls, number INTEGER NOT NULL, owner TEXT NOT NULL, fence INTEGER NOT NULL,
  worst INTEGER NOT NULL, sent_at REAL NOT NULL, ended_at REAL,
  outcome TEXT CHECK (outcome IN ('answered', 'rejected', 'unsent', 'unknown', 'in_doubt')),
  status INTEGER, request_id TEXT, detail TEXT, settled TEXT CHECK (settled IN ('unbilled', 'billed')),
  UNIQUE (call, number)
);
CREATE INDEX attempts_doubtful ON attempts (outcome) WHERE outcome IN ('unknown', 'in_doubt');
CREATE TABLE answers (
  attempt INTEGER PRIMARY KEY REFERENCES attempts, received_at REAL NOT NULL, status INTEGER, request_id TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE submissions (
  id INTEGER PRIMARY KEY, provider TEXT NOT NULL, base_url TEXT NOT NULL, account TEXT NOT NULL, digest TEXT NOT NULL,
  calls INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('prepared', 'open', 'ended')), owner TEXT NOT NULL,
  remote TEXT, excluded TEXT NOT NULL DEFAULT '[]', detail TEXT NOT NULL DEFAULT '', prepared_at REAL NOT NULL, ended_at REAL
);
CREATE TABLE submission_calls (
  submission INTEGER NOT NULL REFERENCES submissions, call INTEGER NOT NULL REFERENCES calls, attempt INTEGER NOT NULL REFERENCES attempts,
  PRIMARY KEY (submission, call)
) WITHOUT ROWID;
CREATE TABLE totals (
  stage TEXT, role TEXT, provider TEXT, model TEXT, prompt TEXT,
  calls INTEGER NOT NULL, repairs INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  tokens_cached INTEGER NOT NULL, tokens_reasoning INTEGER NOT NULL, cost INTEGER NOT NULL,
  free_in INTEGER NOT NULL, free_out INTEGER NOT NULL, squares_in REAL NOT NULL, squares_out REAL NOT NULL,
  PRIMARY KEY (stage, role, provider, model, prompt)
) WITHOUT ROWID;
CREATE TABLE schemaless (
  provider TEXT, base_url TEXT, model TEXT, words TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (provider, base_url, model)
) WITHOUT ROWID;
CREATE TABLE hits (
  stage TEXT, role TEXT, provider TEXT, model TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (stage, role, provider, model)
) WITHOUT ROWID;
CREATE TRIGGER done_is_summed AFTER UPDATE OF state ON calls WHEN NEW.state = 'done'
  BEGIN
    INSERT INTO totals VALUES (
      NEW.stage, NEW.role, NEW.provider, NEW.model, NEW.prompt, 1, NEW.repair_of IS NOT NULL, NEW.tokens_in, NEW.tokens_out,
      NEW.tokens_cached, NEW.tokens_reasoning, NEW.cost, iif(NEW.price_in + NEW.price_out = 0, NEW.tokens_in, 0),
      iif(NEW.price_in + NEW.price_out = 0, NEW.tokens_out, 0), 1.0 * NEW.tokens_in * NEW.tokens_in, 1.0 * NEW.tokens_out * NEW.tokens_out
    ) ON CONFLICT DO UPDATE SET
      calls = calls + 1, repairs = repairs + excluded.repairs, tokens_in = tokens_in + excluded.tokens_in,
      tokens_out = tokens_out + excluded.tokens_out, tokens_cached = tokens_cached + excluded.tokens_cached,
      tokens_reasoning = tokens_reasoning + excluded.tokens_reasoning, cost = cost + excluded.cost,
      free_in = free_in + excluded.free_in, free_out = free_out + excluded.free_out,
      squares_in = squares_in + excluded.squares_in, squares_out = squares_out + excluded.squares_out;
  END;
CREATE TRIGGER done_stays BEFORE UPDATE ON calls WHEN OLD.state = 'done'
  BEGIN SELECT RAISE(ABORT, 'a done call is immutable'); END;
CREATE TRIGGER done_is_kept BEFORE DELETE ON calls WHEN OLD.state = 'done'
  BEGIN SELECT RAISE(ABORT, 'a done call is immutable'); END;
CREATE TRIGGER requests_stay BEFORE UPDATE ON requests
  BEGIN SELECT RAISE(ABORT, 'a request is immutable'); END;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers
  BEGIN SELECT RAISE(ABORT, 'a committed answer is immutable'); END;
CREATE TRIGGER answers_are_kept BEFORE DELETE ON answers
  BEGIN SELECT RAISE(ABORT, 'answers are never deleted'); END;
CREATE TRIGGER attempts_are_kept BEFORE DELETE ON attempts
  BEGIN SELECT RAISE(ABORT, 'attempts are never deleted'); END;
CREATE TRIGGER nothing_after_done BEFORE INSERT ON attempts
  WHEN (SELECT state FROM calls WHERE id = NEW.call) = 'done'
  BEGIN SELECT RAISE(ABORT, 'no attempt follows a done call'); END;
INSERT INTO meta VALUES ('version', 6), ('spent', 0), ('in_flight', 0), ('in_doubt', 0), ('written_off', 0), ('seq', 0), ('chain', '');
"""


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of this tree for one of SQLite's."""
    text = str(error)
    if "full" in text:
        return StorageFull(f"ledger {str(path)!r} can't grow: {text}; nothing was sent without its record. Free some space and run again")
    return StoreError(f"ledger {str(path)!r} can't be used: {text}; check that the file is a ledger, is writable, and lies on a local disk")


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """A connection to a ledger, its tables made where they are missing.

    Raises StoreError for a file that is missing (readonly), isn't a ledger, can't be written, or was made by a newer Castalia.
    """
    if readonly and not path.is_file():
        raise StoreError(f"there is no ledger at {str(path)!r}; a run makes it with its first call")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=60,
        )
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    try:
        if not readonly:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            _create(connection)
        _check_version(_version(connection), path)
    except sqlite3.Error as error:
        connection.close()
        raise store_error(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _check_version(version: int | None, path: Path) -> None:
    if version is None or version < VERSION:
        raise StoreError(f"{str(path)!r} is no ledger of this Castalia (version {version}, expected {VERSION}); name another file")
    if version > VERSION:
        raise StoreError(
            f"ledger {str(path)!r} has version {version}, this Castalia reads up to {VERSION}; upgrade Castalia (`pip install -U castalia`)"
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            # executescript would commit the transaction that keeps two first processes apart.
            for statement in _statements(TABLES):
                connection.execute(statement)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _version(connection: sqlite3.Connection) -> int | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return None
    row = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    return int(row[0]) if row else None
