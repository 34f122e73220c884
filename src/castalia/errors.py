"""Every error Castalia raises on purpose, as one tree.

CastaliaError                  exit code 1
├── ConfigError                exit code 2   the configuration, a flag or a declaration is wrong; nothing was spent
├── InputError                 exit code 3   something given from outside can't be used (a file, an archive, a site)
│   ├── UnreachableSite                      no page of a site could be fetched
│   ├── NoLicensedPages                      pages were fetched, but none under an allowed licence
│   └── SearchFailed                         a search provider gave no answer that can be read
├── StoreError                 exit code 4   the disk or object store failed, or what it holds isn't what was written
│   ├── CorruptObject                        stored bytes don't match the hash they are filed under
│   └── StorageFull                          no room to write; nothing half-written was left behind
├── StaleStage                 exit code 5   a stage's inputs changed since its dataset was made; needs a decision
├── OracleError                exit code 6   a model could not be asked
│   ├── MissingRecording                     the recorded oracle has no answer for this task
│   ├── BudgetReached                        an orderly stop: the next call could exceed the budget
│   ├── UnknownPrice                         a budget is set, but the model has no price
│   ├── OracleRefused                        the provider rejected the credentials or the request for good
│   └── AnswerUnusable                       paid, kept, but not what was asked, also after repairs
│       └── RequestRejected                  this one can't be asked: too long for the model, or filtered
├── SandboxUnavailable         exit code 7   this machine offers no tier of isolation; foreign code is not run
│   └── ToolchainMissing                     a runner's compiler or shell is not here; other runners go on
├── ReleaseRefused             exit code 8   a release would break licence policy, contamination or provenance rules
├── TrainingRefused            exit code 9   training would be wrong: contamination, an impossible plan, missing data
├── TrainingFailed             exit code 10  a training process ended before its stage was complete; it can be resumed
└── Interrupted                exit code 130 stopped by the user; the message has the command that continues

A bad *record* is not an error: it is a `Reject` or a `Verdict`, data with a reason.
"""


class CastaliaError(Exception):
    """The root. `exit_code` is what the command line returns for it."""

    exit_code = 1


class ConfigError(CastaliaError):
    """The configuration, a flag or a declaration is wrong; nothing was spent."""

    exit_code = 2


class InputError(CastaliaError):
    """Something given from outside can't be used."""

    exit_code = 3


class UnreachableSite(InputError):
    """No page of a site could be fetched."""


class NoLicensedPages(InputError):
    """Pages were fetched, but none under an allowed licence."""


class SearchFailed(InputError):
    """A search provider gave no answer that can be read."""


class StoreError(CastaliaError):
    """The disk or object store failed, or what it holds isn't what was written."""

    exit_code = 4


class CorruptObject(StoreError):
    """Stored bytes don't match the hash they are filed under."""


class StorageFull(StoreError):
    """No room to write; nothing half-written was left behind."""


class StaleStage(CastaliaError):
    """A stage's inputs changed since its dataset was made; needs a decision."""

    exit_code = 5


class OracleError(CastaliaError):
    """A model could not be asked."""

    exit_code = 6


class MissingRecording(OracleError):
    """The recorded oracle has no answer for this task."""


class BudgetReached(OracleError):
    """An orderly stop: the next call could exceed the budget."""


class UnknownPrice(OracleError):
    """A budget is set, but the model has no price."""


class OracleRefused(OracleError):
    """The provider rejected the credentials or the request for good."""


class AnswerUnusable(OracleError):
    """Paid, kept, but not what was asked, also after repairs. `calls` are the ledger keys of what was asked, repairs included."""

    calls: tuple[str, ...] = ()


class RequestRejected(AnswerUnusable):
    """The provider can't take this one request: too long for the model, or filtered. Nothing was paid; others go on."""


class SandboxUnavailable(CastaliaError):
    """This machine offers no tier of isolation; foreign code is not run."""

    exit_code = 7


class ToolchainMissing(SandboxUnavailable):
    """A runner's compiler or shell is not here; other runners go on."""


class ReleaseRefused(CastaliaError):
    """A release would break licence policy, contamination or provenance rules."""

    exit_code = 8


class TrainingRefused(CastaliaError):
    """Training would be wrong: contamination, an impossible plan, missing data."""

    exit_code = 9


class TrainingFailed(CastaliaError):
    """A training process ended before its stage was complete; the same command resumes it."""

    exit_code = 10


class Interrupted(CastaliaError):
    """Stopped by the user; the message has the command that continues."""

    exit_code = 130
