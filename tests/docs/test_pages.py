"""What README.md and docs/ have to be besides right: short, whole, and linked."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from tests.commands import Call
from tests.docs.blocks import PAGES, ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_has_its_two_commands_and_each_door() -> None:
    assert len(README.splitlines()) <= 200
    first = README.split("\n## ")[0]
    assert "python -m pip install -c constraints.txt -e . && python -m src.train" in first
    assert "```\npython -m pip install -c constraints.txt -e '.[test]' && python -m pytest -n 2\n```" in README
    words = [command for block in blocks(ROOT / "README.md") for command in block.commands]
    doors = {command[2] for command in words if command[2].startswith("src.")}
    assert doors == {"src.train", "src.evaluate", "src.predict", "src.report", "src.export"}


def test_the_readme_shows_what_its_first_command_says(call: Call) -> None:
    """Every word, but for the last digits of numbers, seconds and the folder's name."""
    said = call("train").out.splitlines()
    [shown] = [block.text.splitlines() for block in blocks(ROOT / "README.md") if block.language == "text"]
    number = re.compile(r"[-+]?\d+\.\d+")
    said = said[said.index(shown[0]) :]
    assert len(said) == len(shown)
    for ours, theirs in zip(shown, said, strict=True):
        if ours.startswith(("folder: ", "completed after ", "curves: ")):
            assert ours.split()[:5:4] == theirs.split()[:5:4]
            continue
        assert number.sub("", ours).split() == number.sub("", theirs).split()
        values = [[float(value) for value in number.findall(line)] for line in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], rel=1e-3)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    targets = [one or other for one, other in links if "://" not in one + other]
    for target in targets:
        path, _, heading = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name} leads to {target}, which is not there"
        if heading:
            titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", README))
    assert linked == {page.name for page in PAGES[1:]}


def test_every_option_stands_in_the_table_of_groups() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w/]+)` \| (.*) \|$", text, flags=re.MULTILINE))
    options: dict[str, set[str]] = {}
    for file in (ROOT / "conf").glob("*/**/*.yaml"):
        if file.stem != "base" and file.parent.name != "report":
            options.setdefault(str(file.parent.relative_to(ROOT / "conf")), set()).add(file.stem)
    assert set(rows) == set(options)
    for group, names in options.items():
        named = set(re.findall(r"`(\w+)`", rows[group]))
        assert names - named == set(), f"docs/configuration.md leaves out options of {group}"
        assert {name for name in named if name.islower() and "_" not in name} <= names | {"tabm", "table"}, group


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_say_what_they_are_and_commands_name_what_there_is(page: Path) -> None:
    """Also those within a sentence: their module is there, and so is an extra that is to be installed."""
    languages = {block.language for block in blocks(page)}
    assert languages <= {"sh", "python", "yaml", "text"} | ({""} if page.name == "README.md" else set())
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"python -m ((?:src|tests)[.\w]*\w)", text):
        assert importlib.util.find_spec(module), f"{page.name}: there is no {module}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\.\[(\w+)\]|\(extra `(\w+)`|extra `(\w+)`", text)
    assert {one or two or three for one, two, three in named} <= set(extras)
