"""Query templates, a file per category: what a search for a capability looks like when nobody thought about it.

They are shown to the oracle as a starting point, and they fill a node that is left without any query.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from castalia.errors import ConfigError
from castalia.records import CATEGORIES, Category, Difficulty, Frozen, TaxonomyNode
from castalia.records.web import Wanted

HERE = Path(__file__).parent
FILES: dict[Category, Path] = {category: HERE / f"templates_{category}.txt" for category in CATEGORIES}


class Template(Frozen):
    """One line of a file."""

    wanted: Wanted
    difficulty: Difficulty
    words: str = Field(min_length=1)

    def fill(self, domain: str, node: TaxonomyNode) -> str:
        """The words of the search for one node."""
        return " ".join(self.words.format(domain=domain, title=node.title).split())


def templates(category: Category) -> tuple[Template, ...]:
    """The templates of a category. Raises ConfigError for a line that is none."""
    return tuple(_read(FILES[category]))


def _read(path: Path) -> Iterator[Template]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        wanted, difficulty, words = ([part.strip() for part in line.split("|", 2)] + ["", ""])[:3]
        try:
            words.format(domain="", title="")
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(f"{path.name} line {number}: {words!r} may hold {{domain}} and {{title}} only: {error!r}") from error
        try:
            yield Template.model_validate({"wanted": wanted, "difficulty": difficulty, "words": words})
        except ValidationError as error:
            raise ConfigError(f"{path.name} line {number}: {line!r} is not `wanted | difficulty | words`: {error}") from error
