"""report.html in a real browser."""

import shutil
import subprocess
from pathlib import Path

import optuna
import pytest

from src.reports.leaderboard import Row
from src.reports.page import figures, page, thinned

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def studied(trials: int) -> optuna.Study:
    study = optuna.create_study()
    space = {
        "lr": optuna.distributions.FloatDistribution(0.001, 1, log=True),
        "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    for number in range(trials):
        lr = 0.001 * 1000 ** (number / trials)
        study.add_trial(optuna.create_trial(params={"lr": lr, "kind": "ab"[number % 2]}, distributions=space, value=lr))
    return study


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
def test_every_plot_is_drawn_without_network(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    rows = [Row("0", "completed", {"lr": 0.1}, [1.0], ["loss"], command="x", rank=1)]
    file.write_text(page("a <sweep>", studied(12), rows, ["loss"], {"again": "train --x"}))
    # What the page logs goes to stderr; the host resolver knows no host.
    line = [
        str(BROWSER),
        *OPTIONS,
        f"--user-data-dir={tmp_path}/profile",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    line += ["--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom", file.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count('class="main-svg"') >= 4 * 2  # Plotly draws each plot in layers
    assert "CONSOLE" not in done.stderr
    assert "Not drawn" not in done.stdout
    assert "a &lt;sweep&gt;" in done.stdout


def test_a_plot_that_cannot_be_drawn_says_so() -> None:
    made = page("s", studied(0), [Row("0", "failed", message="<b>")], ["loss"], {})
    assert made.count("Not drawn") >= 3
    assert "&lt;b&gt;" in made


def test_a_large_study_is_drawn_in_part_with_its_best() -> None:
    study = studied(3000)
    fewer = thinned(study)
    assert len(fewer.trials) <= 1600
    assert fewer.best_value == study.best_value


def test_the_importance_of_a_lone_parameter_is_not_computed() -> None:
    study = optuna.create_study()
    space = {"lr": optuna.distributions.FloatDistribution(0, 1)}
    for lr in (0.1, 0.4, 0.7, 0.9):
        study.add_trial(optuna.create_trial(params={"lr": lr}, distributions=space, value=lr))
    assert dict(figures(study, ["loss"]))["Importance"] == "Not drawn: a lone parameter is all there is"


@pytest.mark.parametrize(("worst", "axis"), [(1.0, None), (1e9, "log")])
def test_a_run_that_nearly_diverged_does_not_hide_the_others(worst: float, axis: str | None) -> None:
    study = studied(12)
    study.add_trial(
        optuna.create_trial(params=study.trials[0].params, distributions=study.trials[0].distributions, value=worst)
    )
    drawn = dict(figures(study, ["loss"]))
    assert drawn["History"].layout.yaxis.type == drawn["Slice"].layout.yaxis.type == axis
