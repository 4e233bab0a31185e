"""Passwords, tokens, the environment and somebody's home reach no folder and no log."""

from pathlib import Path

import pytest

from src.secrets import is_secret, masked, masked_overrides, masked_text
from tests.commands import Call

WORD = "hunter2-Zx9"
URL = f"postgresql://me:{WORD}@host/db"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"hydra.sweeper.storage={URL}", "hydra.sweeper.storage=postgresql://me:***@host/db"),
        (f"+model.api_key={WORD}", "+model.api_key=***"),
        (f"++model.hf_token='{WORD}'", "++model.hf_token=***"),
        (f"hydra.job.env_set.AWS_SECRET_ACCESS_KEY={WORD}", "hydra.job.env_set.AWS_SECRET_ACCESS_KEY=***"),
        (f"+model.options={{password:{WORD}}}", "+model.options={password:***}"),
        (f"data.path=https://me:{WORD}@host/x.csv?token={WORD}", "data.path=https://me:***@host/x.csv?token=***"),
        ("+model.n_tokens=4", "+model.n_tokens=4"),
        ("+model.d_token=192", "+model.d_token=192"),
        ("data.target=password", "data.target=password"),
        ("data.path=a@b:c.csv", "data.path=a@b:c.csv"),
        ("seed=1", "seed=1"),
        ("~model.init", "~model.init"),
    ],
)
def test_an_override(override: str, said: str) -> None:
    assert masked_overrides([override]) == [said]
    assert masked_overrides([said]) == [said], "what is hidden once stays as it is"


def test_values_and_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", WORD)
    found = masked({"password": "x", "n_token": 4, "list": [f"a={WORD}"], "url": URL, "lr": 0.1, "token": None})
    assert found["password"] == "***"
    assert (found["n_token"], found["lr"], found["token"]) == (4, 0.1, None)
    assert WORD not in str(found)
    said = masked_text(f"python -m src.train 'db.password={WORD} x' +x.api_key={WORD} seed=1")
    assert said == "python -m src.train 'db.password=*** x' +x.api_key=*** seed=1"
    assert not is_secret("tokenizer", "x")
    assert not is_secret("model.passwords_seen", "x")


def test_a_place_is_no_secret(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shells keep the working directory in PWD; a relative path of the rows is found again from elsewhere."""
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("GOOGLE_CREDENTIALS", str(tmp_path / "rows.csv"))
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{i},{2 * i + i % 3}\n" for i in range(20)))
    short = ("data=csv", "data.path=rows.csv", "data.target=y", "trainer.max_epochs=1", "figures=false")
    assert call("train", *short, "hydra.run.dir=run").code == 0
    assert "***" not in (tmp_path / "run/.hydra/hydra.yaml").read_text()
    monkeypatch.chdir("/")
    answer = call("evaluate", f"run={tmp_path / 'run'}")
    assert answer.code == 0, answer.err
    assert masked_text(f"{tmp_path}/rows.csv") == f"{tmp_path}/rows.csv"


@pytest.mark.parametrize("sweep", [(), ("-m", "hydra/launcher=stacked"), ("-m", "hydra/launcher=basic"), ("folds=2",)])
def test_nothing_of_it_reaches_a_folder(
    sweep: tuple[str, ...], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", WORD)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("src.secrets._home", lambda: str(tmp_path))
    rows = tmp_path / "rows.csv"
    rows.write_text("a,y\n" + "".join(f"{i},{2 * i + i % 3}\n" for i in range(20)))
    stacked = "hydra/launcher=stacked" in sweep
    said = ["name=x${oc.env:SOME_TOKEN}", f"+hydra.help.password={WORD}", f"hydra.help.footer='{URL}'"]
    if not stacked:  # where it would keep jobs from their stack
        said += [f"+hydra.job.env_set.WANDB_API_KEY={WORD}", f"+hydra.job.env_set.DB='{URL}'"]
    short = ["data=csv", f"data.path={rows}", "data.target=y", "model.hidden=[4]", "trainer.max_epochs=1"]
    seeds = ["seed=0,1", "hydra.sweep.dir=run"] if "-m" in sweep else ["hydra.run.dir=run"]
    answer = call("train", *sweep, *said, *short, *seeds)
    assert answer.code == 0, answer
    assert WORD not in answer.out + answer.err
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 8
    logs = "".join(path.read_text() for path in files if path.suffix == ".log")
    assert ("trained as one of 2 jobs" in logs) == stacked
    for path in files:
        assert WORD.encode() not in path.read_bytes(), path
        assert str(rows).encode() not in path.read_bytes(), path
        if path.suffix in (".yaml", ".json"):
            assert str(tmp_path) not in path.read_text(), path
    run = "run/0" if "-m" in sweep else "run"
    assert call("evaluate", f"run={run}").code == 0, "a home that is hidden is found again"
