"""python -m tests.pages.look PAGE FOLDER: PNGs of a page at three widths, light and dark, and of its print."""

import sys
from pathlib import Path

from tests.pages.browser import browser

WIDTHS = (390, 768, 1400)


def look(page: Path, folder: Path) -> None:
    """Writes the pictures and prints how wide the page is in each."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as tab:
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                tab.open(page.absolute(), width, scheme)
                print(width, scheme, tab.ask("document.documentElement.scrollWidth"))
                tab.picture(folder / f"{width}-{scheme}.png")
        tab.open(page.absolute(), 760, medium="print")
        tab.picture(folder / "print.png")
        print("console:", tab.said, "requests:", sorted({url for url in tab.asked if not url.startswith("file:")}))


if __name__ == "__main__":
    look(Path(sys.argv[1]), Path(sys.argv[2]))
