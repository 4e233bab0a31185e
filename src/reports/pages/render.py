"""A page as one HTML file that asks nobody for anything: its policy allows its own style and script by their hashes."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from markupsafe import Markup

from src.checks.codes import TITLES
from src.reports.pages.model import Page

_FILES = Path(__file__).parent


def render(page: Page) -> str:
    """The HTML. Jinja escapes every text but ``Markup``, which is made by svg.py alone and escapes its own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _text("style.css"), _text("page.js")
    text = environment.get_template("page.html").render(
        page=page, titles=TITLES, style=Markup(style), script=Markup(script), policy=policy(style, script)
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a name of a file may hold what UTF-8 cannot


def policy(style: str, script: str) -> str:
    """The content security policy: nothing is loaded, and no other style or script is obeyed."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
