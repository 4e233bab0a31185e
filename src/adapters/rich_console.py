"""rich's console, which strips a bell but lets an escape sequence through that stands in what it prints."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console as _Console
from rich.segment import Segment
from rich.text import Text

from src.errors import printable


class Console(_Console):
    """Colours and lines are rich's; text is what it says and moves no cursor."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Words as they will stand there, before a table measures them."""
        return super().render_str(printable(text), **options)

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        """Every piece of text on its way out."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
