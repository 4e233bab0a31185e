"""python -m tests.pages.axe PAGE…: what axe-core finds wrong with pages, at three widths, light and dark.

axe-core is npm's (npm install axe-core); its script is taken from node_modules of this folder or of one above it, or
from the path in AXE. Exits with 1 where it finds something.
"""

import os
import sys
from pathlib import Path

from tests.pages.browser import CHROMIUM, WHY_NOT, browser
from tests.pages.look import WIDTHS

_FILE = "node_modules/axe-core/axe.min.js"


def script() -> str | None:
    """axe-core's script; None where it is not at hand."""
    given = [Path(os.environ["AXE"])] if "AXE" in os.environ else []
    found = [path for path in (*given, *(each / _FILE for each in (Path.cwd(), *Path.cwd().parents))) if path.is_file()]
    return found[0].read_text(encoding="utf-8") if found else None


def faults(page: Path, axe: str) -> list[str]:
    """A line for each finding: rule, impact, how often, and the first place."""
    said = []
    with browser() as tab:
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                tab.open(page.absolute(), width, scheme)
                tab.ask("document.querySelectorAll('details').forEach(each => each.open = true)")
                tab.ask(axe + ";0")
                found = tab.ask("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
                for each in found:
                    node = each["nodes"][0]
                    about = f"{each['id']} ({each['impact']}, {len(each['nodes'])}×): {node['html'][:120]}"
                    said.append(f"{page.name} {width} {scheme}: {about} {node.get('failureSummary', '')!r}")
        said += [f"{page.name}: the console says {text}" for text in tab.said]
        said += [f"{page.name}: asks for {url}" for url in tab.asked if not url.startswith(("file:", "data:"))]
    return said


def main(pages: list[str]) -> int:
    """Prints the findings; 2 where it cannot look."""
    if CHROMIUM is None:
        print(WHY_NOT, file=sys.stderr)
        return 2
    if (axe := script()) is None:
        print("needs axe-core: npm install axe-core, or AXE=PATH/axe.min.js", file=sys.stderr)
        return 2
    said = [line for page in pages for line in faults(Path(page), axe)]
    print("\n".join(said) or f"{len(pages)} pages: nothing found")
    return int(bool(said))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
