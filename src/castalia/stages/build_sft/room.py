"""What the assistant of a trace may use: the tools of the sandbox, and search over the pages that were collected."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from castalia.engine.trace import ToolOutput, ToolRoom
from castalia.records import Document, Tool
from castalia.records.flaw import Flaw
from castalia.sandbox.tools import TOOLS, USUAL, ToolResult, WrongArguments, arguments_of, text_parameters
from castalia.scoring.bm25 import WordIndex, words_of

_HITS = 3
_MOST_TEXT = 400  # characters of a block

SEARCH = Tool(
    name="search",
    description="Searches the documentation and returns the passages that fit best, each with its address.",
    parameters=text_parameters(query="A few words to look for."),
)
ALL_TOOLS: Mapping[str, Tool] = {**TOOLS, SEARCH.name: SEARCH}


def tools_named(names: Sequence[str]) -> tuple[Tool, ...] | Flaw:
    """The tools of a task, in one order whatever order they are named in; the usual ones where it names none."""
    wanted = names or USUAL
    unknown = sorted(set(wanted) - ALL_TOOLS.keys())
    if unknown:
        return Flaw("unknown-tool", f"{unknown} are not among {list(ALL_TOOLS)}")
    return tuple(tool for name, tool in ALL_TOOLS.items() if name in wanted)


class Library:
    """All blocks of the collected pages, to be searched by words."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._index = WordIndex()
        self._blocks: list[_Place] = []
        for document in sorted(documents, key=lambda document: document.url):
            heading = document.title
            for block in document.blocks:
                if block.kind == "heading":
                    heading = block.text
                elif words := words_of(block.text):
                    self._index.add((*words, *words_of(heading)))
                    self._blocks.append(_Place(document.url, block.number, heading, block.text))

    def search(self, query: str) -> str:
        """The best blocks for a query as a model reads them."""
        found: dict[str, _Place] = {}
        for number in self._index.best(words_of(query)):
            place = self._blocks[number]
            found.setdefault(place.text, place)
            if len(found) == _HITS:
                break
        return "\n\n".join(map(_show, found.values())) or "nothing found; try other words"


class ReadingRoom:
    """A room of the sandbox with the library beside it."""

    def __init__(self, room: ToolRoom, library: Library) -> None:
        self._room = room
        self._library = library

    def call(self, name: str, arguments: str, /) -> ToolOutput:
        """Searches here; hands everything else on."""
        if name != SEARCH.name:
            return self._room.call(name, arguments)
        try:
            return ToolResult(self._library.search(arguments_of(SEARCH, arguments)["query"]), True)
        except WrongArguments as error:
            return ToolResult(f"error: {error}", False)

    def files(self) -> dict[str, str]:
        """The files in the folder now: path to text."""
        return self._room.files()


class _Place(NamedTuple):
    url: str
    number: int
    heading: str
    text: str


def _show(place: _Place) -> str:
    text = place.text if len(place.text) <= _MOST_TEXT else f"{place.text[:_MOST_TEXT].rstrip()} ..."
    return f"{place.url}#{place.number} ({place.heading})\n{text}"
