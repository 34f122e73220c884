"""The documentation does what it says: snippets run, configurations parse, command lines exist, links lead somewhere."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest
import yaml

from castalia import errors
from castalia.cli.parser import build_parser
from castalia.config import load_config
from castalia.oracle.scripted import __main__ as scripted
from castalia.pipeline import stage_params
from castalia.quality.policy_file import load_policy
from castalia.training.recipe import STAGES, load_recipe

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").glob("*/README.md")))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "yaml", "sh", "text", "toml"}


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str

    def __repr__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        indent, language, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        yield Block(page, text.count("\n", 0, match.start()) + 1, language, "\n".join(lines) + "\n")


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def command_lines(block: Block) -> Iterator[list[str]]:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


def commands(program: str) -> list[tuple[Block, list[str]]]:
    return [(block, words[1:]) for block in of("sh") for words in command_lines(block) if Path(words[0]).name == program]


def named(cases: list[tuple[Block, list[str]]]) -> list[str]:
    return [f"{block!r} {' '.join(words)}" for block, words in cases]


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.page == page for block in of("python"))], ids=lambda page: page.name)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": f"docs_{page.stem.replace('-', '_')}"}
    for block in of("python"):
        if block.page == page:
            # leading blank lines, so that a traceback shows the line of the page
            exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)


@pytest.mark.parametrize("block", of("yaml"), ids=repr)
def test_yaml_is_a_configuration_or_a_recipe_that_parses(block, tmp_path):
    file = tmp_path / "castalia.yaml"
    file.write_text(block.text, encoding="utf-8")
    content = yaml.safe_load(block.text)
    if "domain" in content:
        config = load_config([file])
        assert stage_params(config)
        for role in config.oracles.values():
            assert role.price() is not None or config.execution.budget_usd is None, (
                "a budget with an unknown price stops before the first call"
            )
    elif "own" in content:
        assert load_policy(file).rules
    else:
        assert set(STAGES) & content.keys(), "neither a configuration (no `domain`) nor a recipe (no stage)"
        assert load_recipe(file).stages()


@pytest.mark.parametrize(("block", "words"), commands("castalia"), ids=named(commands("castalia")))
def test_castalia_command_lines_parse(block, words):
    try:
        build_parser().parse_args(words)
    except SystemExit as stop:
        assert stop.code == 0, f"{block!r}: castalia {' '.join(words)}"  # --help and --version leave with 0


@pytest.mark.parametrize(("block", "words"), commands("python"), ids=named(commands("python")))
def test_programs_that_are_started_with_python_exist(block, words, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.aims import AIMS

    if words[:2] == ["-m", "castalia.oracle.scripted"]:
        scripted.build_parser().parse_args(words[2:])
        return
    assert words[:2] == ["-m", "benchmarks"], "only benchmarks and the scripted server are started with python"
    assert words[2] in AIMS


@pytest.mark.parametrize(("block", "words"), commands("make"), ids=named(commands("make")))
def test_make_targets_exist(block, words):
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


def test_there_are_snippets_to_check():
    assert len(of("python")) >= 5
    assert len(of("yaml")) >= 5
    assert len(commands("castalia")) >= 20


def test_only_drawings_have_no_language():
    code = re.compile(r"^(castalia |python |make |import |from \w|\$ |def |class )", re.MULTILINE)
    assert [block for block in BLOCKS if block.language not in LANGUAGES and (block.language or code.search(block.text))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    dead = [link for link in links(page) if not leads_somewhere(page, link)]
    assert dead == []


def test_every_page_is_reachable_from_the_index():
    reached, waiting = set(), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        waiting += [target for link in links(page) if (target := (page.parent / link.partition("#")[0]).resolve()).suffix == ".md"]
    assert set(DOCS.rglob("*.md")) - reached == set()


def links(page: Path) -> list[str]:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose))
    return [unquote(link) for link in found if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_errors_page_lists_every_class_with_its_exit_code():
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    listed = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)}
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, errors.CastaliaError)]
    assert listed == {found.__name__: found.exit_code for found in classes}


def test_the_quality_page_lists_every_check_in_its_layer():
    from castalia.quality.layers import LAYERS

    page = (DOCS / "quality.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d \w+) \| .*? \| (.*) \|$", page, re.MULTILINE))
    assert list(rows) == [f"{layer.number} {layer.name}" for layer in LAYERS]
    for layer in LAYERS:
        assert {check.name for check in layer.checks} <= set(re.findall(r"`([\w-]+)`", rows[f"{layer.number} {layer.name}"]))


def test_the_benchmarks_page_lists_every_aim(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.aims import AIMS

    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert {name: set(re.findall(r"`(\w+)`", rows.get(name, ""))) for name in AIMS} == {name: set(aims) for name, aims in AIMS.items()}


def test_the_tree_in_the_readme_has_every_room():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The house")[2]
    named = {name.strip("/") for name in re.findall(r"[\w.]+(?:/|\.py)", tree)}
    rooms = {path.name for path in (ROOT / "src/castalia").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - named - {"__init__.py", "__main__.py"} == set()


def test_the_files_that_pages_name_exist():
    named = re.compile(r"`((?:castalia|examples|benchmarks|tests)/[\w./-]*\w/?)`")
    missing = []
    for page in PAGES:
        for path in named.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if not any((root / path).exists() for root in (ROOT, ROOT / "src")):
                missing.append(f"{page.name}: {path}")
    assert missing == []
