"""README.md and docs/ as pages: their fenced blocks, and the command lines in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: the word behind its fence, and its text."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is, which its first line names; None for what is to be run."""
        found = re.match(r"# ([\w/.-]+\.(?:py|yaml))\n", self.text)
        return found[1] if found and self.language in ("python", "yaml") else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line; a line that ends with a backslash goes on in the next."""
        if self.language not in ("sh", ""):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(part) for line in lines for part in line.split(" && ")]


def blocks(page: Path) -> list[Block]:
    """A page's blocks, in their order."""
    text = page.read_text(encoding="utf-8")
    found = [Block(*each) for each in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)]
    assert len(re.findall(r"^```", text, flags=re.MULTILINE)) == 2 * len(found), f"{page.name}: a block is not closed"
    return found
