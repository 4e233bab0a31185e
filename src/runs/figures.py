"""The pictures of a run: which there are, and what they are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from src.figures.curves import Course, curves
from src.figures.rows import Fit, fit, residuals


@dataclass(frozen=True)
class Run:
    """What the figures of a run are made of.

    Args:
        course: how the training went; None where there is no record of epochs.
        fits: what it came to, for each target; none where there is nothing to predict with.
    """

    course: Course | None
    fits: Sequence[Fit]


# figures/NAME.png of a run; None where there is nothing to draw.
FIGURES: dict[str, Callable[[Run], Figure | None]] = {
    "curves": lambda run: curves(run.course) if run.course else None,
    "fit": lambda run: fit(run.fits) if run.fits else None,
    "residuals": lambda run: residuals(run.fits) if run.fits else None,
}
