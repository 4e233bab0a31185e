"""How a run may end: the one place that says which ends leave a result that can be ranked.

A reason to stop brings its own name, ``stopped early`` say, and whatever is not listed here has a result.
"""

PRUNED, DIVERGED, FAILED, INTERRUPTED = "pruned", "diverged", "failed", "interrupted"
_WITHOUT = (PRUNED, DIVERGED, FAILED, INTERRUPTED)  # in the order in which a leaderboard lists them
_OPEN = ("unfinished", "running", "waiting")


def has_result(status: str | None) -> bool:
    """Whether a run of this status came to figures that can be held against those of others."""
    return status is not None and status not in (*_WITHOUT, *_OPEN)


def is_over(status: str | None) -> bool:
    """Whether a run of this status would come to the same again."""
    return has_result(status) or status in (PRUNED, DIVERGED)


def place(status: str) -> int:
    """Where runs of this status stand in a list: who has a result first, who is still at work last."""
    listed = (*_WITHOUT, *_OPEN)
    return 1 + listed.index(status) if status in listed else 0
