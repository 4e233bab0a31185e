"""report.html of a run, of several and of a sweep: in a real browser, and as text."""

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from src.reports.leaderboard import Row, ranked
from src.reports.page import board, page, sweep_answers
from src.reports.pages import search
from src.reports.pages.render import policy
from tests.commands import Call, run_here
from tests.pages.browser import CHROMIUM, WHY_NOT, Browser, browser
from tests.pages.look import WIDTHS

HOSTILE = "<img src=x onerror=alert(1)>"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


def studied(trials: int, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(study_name="s", direction=direction)
    space = {
        "optimizer.lr": optuna.distributions.FloatDistribution(0.001, 1, log=True),
        "width": optuna.distributions.IntDistribution(1, 4),
        HOSTILE: optuna.distributions.CategoricalDistribution(["a", "</svg><b>", "c"]),
    }
    for number in range(trials):
        params = {"optimizer.lr": 0.001 * 1000 ** (number / trials), "width": 1 + number % 4}
        params[HOSTILE] = space[HOSTILE].choices[number % 3]
        value = params["optimizer.lr"] + 0.01 * params["width"]
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=value))
    return study


def rows_of(study: optuna.Study) -> list[Row]:
    rows = [
        Row(
            str(t.number), "completed", dict(t.params), list(t.values), ["val/mse"], {"val/mse": t.value}, 1.0, number=n
        )
        for n, t in enumerate(study.trials)
    ]
    return ranked(rows, [study.direction.name.lower()])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a hostile table, and its page."""
    folder = tmp_path_factory.mktemp("pages")
    names = ["x", HOSTILE, "y"]
    lines = [(f"{n % 13 / 7}", ("red", "</script><b>", "blue")[n % 3], f"{n % 13 + 4 * (n % 3)}") for n in range(90)]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *lines])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)
        wanted = (
            "data=csv",
            "data.path=table.csv",
            "data.target=y",
            "model=mlp",
            "data.val_fraction=0.3",
            "trainer.max_epochs=12",
        )
        assert run_here("train", *wanted, "hydra.run.dir=run") == 0
        assert run_here("report", "run=run") == 0
        sweep = ("-m", "optimizer.lr=0.003,0.02,0.2", "data.val_fraction=0.2", "trainer.max_epochs=12")
        assert run_here("train", *sweep, "hydra.sweep.dir=sweep") == 0
    return folder


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as found:
        yield found


@needs_chromium
@pytest.mark.parametrize("file", ["run/report.html", "sweep/report.html"])
def test_a_page_fits_every_width_and_asks_for_nothing(made: Path, tab: Browser, file: str, tmp_path: Path) -> None:
    tab.said.clear()
    tab.asked.clear()
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            tab.open(made / file, width, scheme)
            tab.ask("document.querySelectorAll('details').forEach(each => each.open = true)")
            wide, room = tab.ask("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= room == width, f"{file} is {wide} px wide on a screen of {room}"
            picture = tmp_path / f"{width}-{scheme}.png"
            tab.picture(picture)
            assert picture.stat().st_size > 20_000, "the picture is empty"
    assert tab.said == [], "the console has something to say"
    assert {url.partition(":")[0] for url in tab.asked} == {"file"}
    size = (made / file).stat().st_size
    assert size < 1_500_000


@needs_chromium
def test_each_figure_of_merit_has_a_panel_of_its_own(made: Path, tab: Browser) -> None:
    """The loss of a standardized target and an error in its unit have no axis in common."""
    tab.open(made / "run/report.html", 1400)
    titles = tab.ask("[...document.querySelectorAll('figure h3, figure figcaption')].map(each => each.textContent)")
    assert {"Learning curve: train/loss", "Learning curve: val/mse"} <= {title.strip() for title in titles}
    said = tab.ask("[...document.querySelectorAll('table tr')].map(each => each.textContent)")
    assert len([row for row in said if re.match("train.*least squares", row.strip())]) == 1


@needs_chromium
def test_text_of_data_is_text(made: Path, tab: Browser) -> None:
    tab.open(made / "run/report.html", 1400)
    assert tab.ask("document.querySelectorAll('img, b:not(.findings b)').length") == 0
    names = "[...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames())"
    assert not [name for name in tab.ask(names) if name == "style" or name.startswith("on")]
    assert HOSTILE in tab.ask("document.body.textContent")
    heads = tab.ask("[...document.querySelectorAll('#run-1 th')].map(each => each.textContent)")
    assert HOSTILE in heads


@needs_chromium
def test_a_leaderboard_is_sorted_searched_and_has_its_columns_chosen(tab: Browser, tmp_path: Path) -> None:
    file, study = tmp_path / "report.html", studied(12)
    file.write_text(page("s", study, rows_of(study), ["val/mse"], {}))
    tab.open(file, 1400)
    place = "[...document.querySelectorAll('#board thead th')].findIndex(each => each.textContent == 'optimizer.lr')"
    column = f"[...document.querySelectorAll('#board tbody tr')].map(row => row.cells[{place}].textContent)"
    press = f"document.querySelectorAll('#board thead th')[{place}].querySelector('button').click()"
    tab.ask(press)
    up = [float(text) for text in tab.ask(column)]
    tab.ask(press)
    assert up == sorted(up)
    assert [float(text) for text in tab.ask(column)] == up[::-1]
    assert tab.ask("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.ask("document.querySelector('[data-find]').value = '</svg>'")
    tab.ask("document.querySelector('[data-find]').dispatchEvent(new Event('input'))")
    assert tab.ask("[...document.querySelectorAll('#board tbody tr')].filter(row => !row.hidden).length") == 4
    hidden = "document.querySelectorAll('#board thead th[hidden]').length"
    before = tab.ask(hidden)
    tab.ask("document.querySelector('fieldset input:not(:checked)').click()")
    assert tab.ask(hidden) == before - 1 >= 0


def test_a_policy_allows_this_page_s_own_style_and_script_alone(made: Path) -> None:
    text = (made / "run/report.html").read_text(encoding="utf-8")
    [style], [script] = (re.findall(f"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL) for tag in ("style", "script"))
    assert policy(style, script).replace("'", "&#39;") in text
    assert "unsafe" not in text


def test_a_page_begins_with_the_leaderboard_and_ends_with_what_repeats_it() -> None:
    study = studied(20)
    text = page("s", study, rows_of(study), ["val/mse"], {"again": "train --x"}, ["a <remark>"])
    ids = re.findall(r'<section id="([\w-]+)"', text)
    assert ids == ["leaderboard", "checks", "importance", "slices", "parallel", "repeat"]
    assert "a &lt;remark&gt;" in text
    assert "<code>train --x</code>" in text


def test_a_sweep_says_where_its_best_lies() -> None:
    study = studied(20)
    answers = sweep_answers(study, rows_of(study), ["val/mse"], {"data": {"splits": {"val": 8}}})
    assert "optimizer.lr=0.001 is at the lower end of 0.001 to 1" in str(answers["P04"])
    assert "width=1" not in str(answers["P04"]), "half a unit is no advice"
    assert "8 rows know val/mse to about ±100%" in str(answers["P06"])


def test_importance_knows_which_way_an_objective_goes() -> None:
    """Where more is better, what decides about large values counts."""
    study = optuna.create_study(direction="maximize")
    space = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("a", "b")}
    for n in range(200):
        a, b = n / 200, n * 0.618 % 1
        value = 10 + a if a > 0.8 else b  # a alone decides about the best fifth, b about the worst
        study.add_trial(optuna.create_trial(params={"a": a, "b": b}, distributions=space, value=value))
    said = str(search.importance(study, 0, "val/r2", -1).svg)
    assert re.search(r"a (\d+\.?\d*) %, b", said), said


def test_what_cannot_be_drawn_says_so() -> None:
    text = page("s", studied(0), [Row("0", "failed", message="<b>")], ["loss"], {})
    assert "Not drawn: fewer than two trials" in text
    assert "&lt;b&gt;" in text
    lone = optuna.create_study()
    for lr in (0.1, 0.4, 0.7):
        space = {"lr": optuna.distributions.FloatDistribution(0, 1)}
        lone.add_trial(optuna.create_trial(params={"lr": lr}, distributions=space, value=lr))
    assert "a lone parameter is all there is" in search.importance(lone, 0, "loss", 1).note


def test_a_large_study_is_drawn_in_part_with_its_best_and_stays_small() -> None:
    study = studied(3000)
    trials = search.finished(study, 0)
    assert len(trials) <= 1600
    assert min(trial.value for trial in trials) == study.best_value
    text = page("s", study, rows_of(study), ["val/mse"], {})
    assert "2000 more in leaderboard.csv" in text
    assert len(text) < 3_000_000


def test_the_leaderboard_shows_the_objective_and_keeps_other_figures_shut() -> None:
    rows = [Row("0", "completed", {"lr": 1}, [2.0], ["val/mse"], {"train/mse": 1.0, "val/mse": 2.0}, rank=1)]
    grid = board(rows, ["val/mse"])
    assert {"train/mse", "val/mse", "message"} <= grid.shut
    assert "objective (val/mse)" in set(grid.head) - grid.shut


def test_runs_are_held_side_by_side(call: Call, tmp_path: Path) -> None:
    for lr in ("0.003", "0.02"):
        assert (
            call("train", f"optimizer.lr={lr}", "trainer.max_epochs=3", f"hydra.run.dir=outputs/train/a/{lr}").code == 0
        )
    answer = call("report", "runs=[outputs/train/a/0.003,outputs/train/a/0.02]", "output=two.html")
    assert answer.code == 0, answer.err
    text = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "Run 0.02, rank 1" in text
    assert "Run 0.003, rank 2" in text
    assert "<h1>2 runs</h1>" in text


def test_without_a_name_the_newest_is_reported_on(call: Call, tmp_path: Path) -> None:
    assert "there is no run" in call("report").lines[0]
    assert call("train", "trainer.max_epochs=3").code == 0
    [run] = (tmp_path / "outputs/train").glob("*/*")
    assert call("report").code == 0
    assert (run / "report.html").is_file()
    refused = call("report", f"run={run}", "sweep=x")
    assert refused.lines == ["expected one of run=, runs= and sweep=, found run= and sweep="]
    assert call("report", f"run={run}", "checks.ignore=[P5]").lines[0].startswith("checks.ignore must be")


def test_the_page_of_a_run_that_diverged_says_why(call: Call, tmp_path: Path) -> None:
    assert call("train", "optimizer.lr=9", "hydra.run.dir=run").code == 1
    assert call("report", "run=run").code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "the largest stable learning rate" in summary["message"]
    assert summary["message"].partition(";")[0] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("low", [1e-7, 3.0, 0.0, -5.0])
@pytest.mark.parametrize("span", [0.0, 1e-9, 1.0, 1e12])
@pytest.mark.parametrize("log", [False, True])
def test_every_axis_has_ticks_within_it(low: float, span: float, log: bool) -> None:
    from src.reports.pages.svg import scale

    axis = scale([low, low + span, math.nan, math.inf], 10, 90, log)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(10 - 1e-6 <= place <= 90 + 1e-6 for place, _ in ticks)
