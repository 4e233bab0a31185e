"""A run that stops early says which figure stopped it, since when, and what it waited for."""

from pathlib import Path

import numpy as np
import pytest

from src.runs.folder import RunFolder
from src.runs.terminal import print_summary
from src.training.early_stopping import EarlyStopping
from tests.compose import trained

SHORT = ("data=synthetic", "data.val_fraction=0.3", "model=mlp", "optimizer.lr=0.05", "callbacks=early_stopping")


@pytest.mark.parametrize(
    ("settings", "values", "said"),
    [
        ({"patience": 2}, [3, 1, 2], "val/r2 has not improved since epoch 1 (patience 2)"),
        ({"patience": 1, "min_delta": 5}, [3, 4], "val/r2 has not improved by more than 5 since epoch 1 (patience 1)"),
        ({"patience": 9, "stopping_threshold": 7}, [3, 8.5], "val/r2 is 8.5, better than stopping_threshold 7"),
        ({"patience": 9, "divergence_threshold": 2}, [3, 1], "val/r2 is 1, worse than divergence_threshold 2"),
        ({"patience": 9}, [3, float("nan")], "val/r2 is nan, which is no finite number"),
        ({"patience": 9}, [3, 1, 2], None),
    ],
)
def test_each_reason_in_words(settings: dict[str, float], values: list[float], said: str | None) -> None:
    """Of a figure that should be large; who was not stopped has no reason."""
    stopping = EarlyStopping("val/r2", "max", **settings)  # type: ignore[arg-type]
    asked = [stopping.stops(value) for value in values]
    assert asked == [False] * (len(asked) - 1) + [said is not None]
    assert stopping.why(len(asked), 1) == said


@pytest.mark.parametrize("every", [1, 2])
def test_a_run_says_it_at_its_end(every: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The epoch is that of the best figure in metrics.csv, also where only every second epoch has one."""
    own = ("callbacks.early_stopping.patience=3", f"trainer.check_val_every_n_epoch={every}")
    summary = trained(tmp_path, *SHORT, *own)
    columns = RunFolder(tmp_path).read_metrics()
    best = int(columns["epoch"][int(np.nanargmin(columns["val/mse"]))])
    assert summary["status"] == "stopped early"
    assert summary["epochs"] == best + 3 * every
    assert summary["stopped"] == f"val/mse has not improved since epoch {best} (patience 3)"
    print_summary(summary, tmp_path)
    assert f"\nstopped early: {summary['stopped']}\n" in capsys.readouterr().out


def test_a_run_that_was_not_stopped_has_no_reason(tmp_path: Path) -> None:
    """It came to its last epoch."""
    summary = trained(tmp_path, *SHORT, "trainer.max_epochs=3")
    assert summary["status"] == "completed"
    assert "stopped" not in summary
