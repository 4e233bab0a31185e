"""When checkpoints are written."""

from types import SimpleNamespace
from typing import Any

import pytest

from src.training.checkpoints import Checkpoints


@pytest.mark.parametrize(("took", "expected"), [(0.1, [60, 120, 180, 240]), (9, [60, 249])])
def test_by_time_writing_waits_for_twenty_times_as_long_as_it_took(
    took: float, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch takes a second; by count it waits for nothing."""
    clock, written = [0.0], list[int]()
    monkeypatch.setattr("src.training.checkpoints.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def write(trainer: Any, last: bool) -> None:
        written.append(int(clock[0]))
        clock[0] += took

    def run(checkpoints: Checkpoints, epochs: int) -> None:
        clock[0] = 0.0
        written.clear()
        checkpoints.bind(write, 4)
        checkpoints.on_train_start(trainer, trainer)
        for epoch in range(1, epochs + 1):
            clock[0] += 1
            trainer.fit_loop.epoch_progress.current.processed = epoch
            checkpoints.on_train_epoch_end(trainer, trainer)

    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    trainer: Any = SimpleNamespace(fit_loop=SimpleNamespace(epoch_progress=progress))
    run(Checkpoints(60), 241)
    assert written == expected
    run(Checkpoints(1e9, every_n_steps=9), 9)
    assert len(written) == 3, "nine steps are within three epochs of four"
