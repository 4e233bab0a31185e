"""How well a number of rows knows a figure of merit."""

import math


def relative_error(metric: str, rows: int) -> float:
    """The standard error of a figure over so many rows, as a share of it, were the errors normal.

    A mean of n squares of normal errors has the relative variance 2/n, its root half the deviation; that of absolute
    errors (pi/2 - 1)/n. For ``r2`` it is that of the unexplained share, ``1 - r2``.
    """
    if metric == "mae":
        return math.sqrt((math.pi / 2 - 1) / rows)
    return math.sqrt(2 / rows) if metric in ("mse", "r2") else math.sqrt(0.5 / rows)
