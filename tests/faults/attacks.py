"""Attacks on whoever is handed a folder or a table, by real commands.

python -m tests.faults.attacks

Each is refused (in one or two lines), harmless (the command does its work, and what the attack was for did not happen)
or breached. The quick ones are run by tests/cli/test_attacks.py.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

SECONDS, KIBIBYTES = 60, 3 << 20  # that a command may take, time and the most memory


@dataclass
class Scene:
    """A folder of somebody else's, at ``run`` or ``sweep``, and what must not happen to the rest."""

    here: Path
    whole: Path
    argv: list[str] = field(default_factory=list)

    @property
    def run(self) -> Path:
        """A finished run's copy."""
        if not (self.here / "run").exists():
            shutil.copytree(self.whole / "run", self.here / "run")
        return self.here / "run"

    @property
    def sweep(self) -> Path:
        """A sweep's copy."""
        if not (self.here / "sweep").exists():
            shutil.copytree(self.whole / "sweep", self.here / "sweep")
        return self.here / "sweep"

    @property
    def mark(self) -> Path:
        """What an attack makes or fills, outside its folder."""
        return self.here / "mark"

    def config(self, change: Callable[[dict[str, Any]], Any], run: Path | None = None) -> None:
        """Changes a run's configuration."""
        path = (run or self.run) / ".hydra" / "config.yaml"
        cfg = yaml.safe_load(path.read_text())
        change(cfg)
        path.write_text(yaml.safe_dump(cfg))

    def state(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Changes a run's best checkpoint."""
        path = self.run / "checkpoints" / "best.ckpt"
        state = torch.load(path, weights_only=True)
        torch.save(change(state) or state, path)

    def asks(self, *arguments: str) -> None:
        """The command that the victim types."""
        self.argv = ["-m", *arguments]


Attack = Callable[[Scene], None]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """Adds one, by its name in words."""
    ATTACKS[function.__name__.strip("_").replace("_", " ")] = function
    return function


class Touch:
    """Makes a file while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def _rewritten(path: Path, change: Callable[[str, bytes], bytes], compressed: bool = False) -> None:
    """A checkpoint with other records, their checksums right."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))


@attack
def a_pickle_as_a_checkpoint(scene: Scene) -> None:
    (scene.run / "checkpoints" / "best.ckpt").write_bytes(pickle.dumps(Touch(scene.mark)))
    scene.asks("src.evaluate", "run=run")


@attack
def a_pickle_within_a_checkpoint(scene: Scene) -> None:
    scene.state(lambda state: state | {"callbacks": Touch(scene.mark)})
    scene.asks("src.predict", "run=run", "input=new.csv")


@attack
def a_pickle_in_what_is_resumed(scene: Scene) -> None:
    path = scene.run / "checkpoints" / "last.ckpt"
    torch.save(torch.load(path, weights_only=True) | {"callbacks": Touch(scene.mark)}, path)
    scene.asks("src.train", "resume=run", "trainer.max_epochs=9")


@attack
def a_bytearray_of_64_gibibytes(scene: Scene) -> None:
    code = b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R."
    path = scene.run / "checkpoints" / "best.ckpt"
    _rewritten(path, lambda name, content: code if name.endswith("data.pkl") else content)
    scene.asks("src.evaluate", "run=run")


@attack
def a_zip_bomb(scene: Scene) -> None:
    path = scene.run / "checkpoints" / "best.ckpt"
    _rewritten(path, lambda name, content: bytes(1 << 28) if "/data/" in name else content, compressed=True)
    scene.asks("src.evaluate", "run=run")


@attack
def a_tensor_of_a_billion_numbers_in_four_bytes(scene: Scene) -> None:
    scene.state(lambda state: state["state_dict"].update({"net.weight": torch.zeros(1).expand(10**9)}))
    scene.asks("src.evaluate", "run=run")


@attack
def an_encoder_of_a_billion_columns(scene: Scene) -> None:
    scene.state(lambda state: state["DataModule"]["numbers"].update(shift=torch.zeros(1).double().expand(10**9)))
    scene.asks("src.predict", "run=run", "input=new.csv")


@attack
def a_net_of_gibibytes(scene: Scene) -> None:
    model = {"_target_": "src.models.mlp.MLP", "hidden": [300000000], "activation": "relu", "dropout": 0.0}
    scene.config(lambda cfg: cfg.update(model=cfg["model"] | {"standardize": True} | model, x=cfg["model"].pop("init")))
    scene.asks("src.evaluate", "run=run")


@attack
def a_net_of_gibibytes_of_one_s_own(scene: Scene) -> None:
    scene.asks("src.train", "model=mlp", "model.hidden=[300000000]")


@attack
def a_net_of_a_billion_layers(scene: Scene) -> None:
    # Within another: by itself it is told of its features, which it does not take.
    lstm = {"_target_": "torch.nn.LSTM", "input_size": 1, "hidden_size": 1, "num_layers": 10**9}
    scene.config(
        lambda cfg: cfg.update(model={"_target_": "torch.nn.Sequential", "_args_": [lstm], "standardize": False})
    )
    scene.asks("src.evaluate", "run=run")


@attack
def a_net_that_fails_after_gibibytes(scene: Scene) -> None:
    large = {"_target_": "torch.nn.Linear", "in_features": 10**6, "out_features": 10**5}
    odd = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": "x"}
    model = {"_target_": "torch.nn.Sequential", "_args_": [large, odd], "standardize": False}
    scene.config(lambda cfg: cfg.update(model=model))
    scene.asks("src.evaluate", "run=run")


@attack
def rows_without_end_that_a_folder_asks_for(scene: Scene) -> None:
    scene.config(lambda cfg: cfg["data"].update(SYNTHETIC | {"n_samples": 10**12}))
    scene.asks("src.evaluate", "run=run")


@attack
def a_device_as_the_data_of_a_folder(scene: Scene) -> None:
    scene.config(lambda cfg: cfg["data"].update(_target_="src.data.sources.csv", path="/dev/zero"))
    scene.asks("src.evaluate", "run=run")


@attack
def a_pipe_as_the_input(scene: Scene) -> None:
    os.mkfifo(scene.here / "pipe.csv")
    scene.asks("src.predict", f"run={scene.run.name}", "input=pipe.csv")


@attack
def a_line_of_gibibytes(scene: Scene) -> None:
    with (scene.here / "line.csv").open("wb") as file:
        file.write(b"a,y")
        file.truncate(4 << 30)
    scene.asks("src.train", "data=csv", "data.path=line.csv", "data.target=y")


@attack
def a_target_that_is_a_shell(scene: Scene) -> None:
    scene.config(lambda cfg: cfg.update(model={"_target_": "os.system", "command": f"touch {scene.mark}"}))
    scene.asks("src.evaluate", "run=run")


@attack
def a_target_within_the_arguments_of_a_sound_one(scene: Scene) -> None:
    inner = {"_target_": "subprocess.check_output", "_args_": [["touch", str(scene.mark)]]}
    scene.config(lambda cfg: cfg["model"]["init"].update(weight=inner))
    scene.asks("src.evaluate", "run=run")


@attack
def a_callback_in_what_is_resumed(scene: Scene) -> None:
    node = {"_target_": "logging.FileHandler", "filename": str(scene.mark)}
    scene.config(lambda cfg: cfg["callbacks"].update(x=node))
    scene.asks("src.train", "resume=run", "trainer.max_epochs=9")


@attack
def a_tag_in_the_yaml(scene: Scene) -> None:
    path = scene.run / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + f"x: !!python/object/apply:os.system ['touch {scene.mark}']\n")
    scene.asks("src.evaluate", "run=run")


@attack
def a_tag_in_a_sweep_s_yaml(scene: Scene) -> None:
    (scene.sweep / "multirun.yaml").write_text(f"x: !!python/object/apply:os.system ['touch {scene.mark}']\n")
    scene.asks("src.report", "sweep=sweep")


@attack
def aliases_that_expand_to_a_billion(scene: Scene) -> None:
    text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    text += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    path = scene.run / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + text)
    scene.asks("src.evaluate", "run=run")


@attack
def brackets_without_end(scene: Scene) -> None:
    (scene.run / ".hydra" / "config.yaml").write_text("a: " + "[" * 100_000)
    scene.asks("src.evaluate", "run=run")


@attack
def a_configuration_of_gibibytes(scene: Scene) -> None:
    with (scene.run / ".hydra" / "config.yaml").open("r+b") as file:
        file.truncate(8 << 30)
    scene.asks("src.evaluate", "run=run")


@attack
def a_resolver_that_reads_the_environment(scene: Scene) -> None:
    scene.config(lambda cfg: cfg["data"].update(_target_="src.data.sources.csv", path="${oc.env:SOME_TOKEN}"))
    scene.asks("src.evaluate", "run=run")


@attack
def a_resolver_in_the_run_s_name(scene: Scene) -> None:
    scene.config(lambda cfg: cfg.update(name="${oc.env:SOME_TOKEN}"))
    scene.asks("src.train", "resume=run", "trainer.max_epochs=9")


@attack
def a_resolver_in_where_it_was_started(scene: Scene) -> None:
    path = scene.run / ".hydra" / "hydra.yaml"
    path.write_text("hydra: {runtime: {cwd: '/tmp/${oc.env:SOME_TOKEN}'}}\n")
    scene.config(lambda cfg: cfg["data"].update(_target_="src.data.sources.csv", path="x.csv"))
    scene.asks("src.evaluate", "run=run")


@attack
def predictions_that_are_a_link(scene: Scene) -> None:
    (scene.here / "elsewhere").mkdir()
    (scene.run / "predictions").symlink_to(scene.here / "elsewhere")
    (scene.here / "elsewhere" / "new.csv").symlink_to(scene.mark)
    scene.asks("src.predict", "run=run", "input=new.csv")


@attack
def a_prediction_that_is_a_link(scene: Scene) -> None:
    (scene.run / "predictions").mkdir()
    (scene.run / "predictions" / "new.csv").symlink_to(scene.mark)
    scene.asks("src.predict", "run=run", "input=new.csv")


@attack
def figures_that_are_a_link(scene: Scene) -> None:
    (scene.here / "elsewhere").mkdir()
    (scene.sweep / "figures").symlink_to(scene.here / "elsewhere")
    (scene.here / "elsewhere" / "loss_by_epoch.png").symlink_to(scene.mark)
    scene.asks("src.report", "sweep=sweep")


@attack
def files_of_a_report_that_are_links(scene: Scene) -> None:
    (scene.sweep / "figures").mkdir()
    for name in ("leaderboard.csv", "sweep.json", "report.html", "figures/loss_by_epoch.png"):
        (scene.sweep / name).symlink_to(scene.mark)
    scene.asks("src.report", "sweep=sweep")


@attack
def a_dashboard_that_is_a_link(scene: Scene) -> None:
    (scene.sweep / "dashboard.journal.lock").symlink_to(scene.mark)
    scene.asks("src.report", "sweep=sweep")


@attack
def a_study_somewhere_else(scene: Scene) -> None:
    sweeper = {"storage": f"sqlite:///{scene.mark}", "study_name": "x"}
    (scene.sweep / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"sweeper": sweeper}}))
    scene.asks("src.report", "sweep=sweep")


@attack
def a_best_run_outside_the_sweep(scene: Scene) -> None:
    shutil.copytree(scene.run, scene.here / "outputs" / "private")
    shutil.copytree(scene.sweep, scene.here / "outputs" / "sweeps" / "x")
    (scene.here / "outputs" / "sweeps" / "x" / "multirun.yaml").write_text("{}")
    (scene.here / "outputs" / "sweeps" / "x" / "leaderboard.csv").write_text("rank,folder\n1,../../private\n")
    scene.asks("src.predict", "run=best", "input=new.csv", f"output={scene.mark}")


@attack
def a_run_that_is_a_loop(scene: Scene) -> None:
    (scene.run / "members").mkdir()
    (scene.run / "members" / "0").symlink_to("..")
    scene.asks("src.evaluate", "run=run")


HOSTILE = "<script>alert(1)</script>\x1b]0;owned\x07\x1b[2J\u202e"


@attack
def names_that_a_page_or_a_terminal_would_obey(scene: Scene) -> None:
    for number in ("0", "1"):
        path = scene.sweep / number / "summary.json"
        summary = json.loads(path.read_text())
        del summary["checksums"]
        summary["status"] = "failed" if number == "1" else f"completed{HOSTILE}"
        summary |= {
            "message": HOSTILE,
            "command": HOSTILE,
            "overrides": [f"x{HOSTILE}={HOSTILE}{number}", f"seed={number}"],
        }
        path.write_text(json.dumps(summary))
    scene.sweep.rename(scene.here / "sweep<b>")
    scene.asks("src.report", "sweep='sweep<b>'")


@attack
def columns_that_a_terminal_would_obey(scene: Scene) -> None:
    rows = "".join(f'{i},"{HOSTILE}{i % 3}",{2 * i}\n' for i in range(30))
    (scene.here / "rows.csv").write_text(f'a,"b{HOSTILE}",y\n{rows}')
    scene.asks("src.train", "data=csv", "data.path=rows.csv", "data.target=y", *SHORT)


@attack
def a_target_column_that_a_terminal_would_obey(scene: Scene) -> None:
    (scene.here / "rows.csv").write_text(f'a,"y{HOSTILE}"\n' + "".join(f"{i},{2 * i}\n" for i in range(30)))
    scene.asks("src.train", "data=csv", "data.path=rows.csv", "data.target=z", *SHORT)


@attack
def formulas_in_what_is_predicted(scene: Scene) -> None:
    (scene.here / "new.csv").write_text('wt,"=cmd|\'/C touch x\'!A0",n\n3,"=1+1",-3\n2,"@SUM(1)",-.5\n')
    scene.asks("src.predict", f"run={scene.run.name}", "input=new.csv", "output=out.csv")


@attack
def a_password_on_the_command_line(scene: Scene) -> None:
    secret = f"+hydra.job.env_set.DB_PASSWORD={SECRET}"
    scene.asks("src.train", secret, f"+hydra.job.env_set.URL='postgres://me:{SECRET}@h/db'", *SHORT[:2])


@attack
def a_token_of_the_environment(scene: Scene) -> None:
    scene.asks("src.train", "-m", "seed=0,1", "name=x${oc.env:SOME_TOKEN}", *SHORT[:2], "hydra.sweep.dir=mine")


@attack
def whoever_listens(scene: Scene) -> None:
    scene.asks("src.train", "-m", "seed=0,1", "hydra/launcher=stacked", *SHORT[:2], "hydra.sweep.dir=mine")


SECRET = "hunter2-Zx9"
SHORT = ("trainer.max_epochs=1", "logger=none", "model.hidden=[4]")
SYNTHETIC: dict[str, Any] = {
    **{"_target_": "src.data.sources.synthetic", "kind": "linear", "n_samples": 100, "n_features": 1},
    **{"n_informative": 1, "bias": 0.0, "effective_rank": None, "tail_strength": 0.5, "noise": 1.0},
    **{"shuffle_columns": False, "random_state": 0},
}
# Runs a command, and reports every address that is listened on.
_WATCHED = """
import os, resource, runpy, sys
def watch(event, found):
    if event == "socket.bind" and isinstance(found[1], tuple) and found[1][0] not in ("127.0.0.1", "::1", "localhost"):
        open(os.environ["LISTENS"], "a").write(f"{found[1]}\\n")
sys.addaudithook(watch)
sys.argv = sys.argv[2:]
sys.path.insert(0, os.getcwd())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def made(folder: Path) -> Path:
    """A run and a sweep to attack copies of."""
    from tests.compose import trained

    trained(folder / "run", "trainer.max_epochs=2", "logger=none")
    for number in ("0", "1"):
        trained(folder / "sweep" / number, "trainer.max_epochs=2", "logger=none", f"seed={number}")
    return folder


def prepared(name: str, whole: Path, here: Path) -> Scene:
    """The scene of an attack, in an empty folder."""
    scene = Scene(here, whole)
    (here / "new.csv").write_text("wt\n3\n2\n")
    ATTACKS[name](scene)
    return scene


def judged(scene: Scene, code: int, out: str, err: str) -> str:
    """What an attack came to: refused, harmless, or breached and how."""
    if scene.mark.exists() and not scene.mark.is_symlink():
        return "breached: what lies outside of the folder was made or written"
    said = out + err
    if any(ord(c) < 32 and c not in "\n\t\r" for c in said) or "\x9b" in said or "\u202e" in said:
        return "breached: the terminal was told what to do"
    if SECRET in said:
        return "breached: a secret was printed"
    if "Traceback" in said or "Error executing" in said:
        return f"breached: {said.strip().splitlines()[-1][:200]}"
    for path in scene.here.rglob("*"):
        inside = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 26
        content = path.read_bytes() if inside else b""
        if SECRET.encode() in content or SECRET in path.name:
            return f"breached: {path.name} holds a secret"
        if path.suffix == ".html" and b"<script>alert" in content:
            return f"breached: {path.name} runs a script"
        written = path.name in ("out.csv", "leaderboard.csv")
        if written and any(line[:1] in (b"=", b"@") or b",=" in line or b",@" in line for line in content.splitlines()):
            return f"breached: {path.name} holds a formula"
    lines = [line for line in err.splitlines() if line.strip()]
    if code == 0:
        return "harmless"
    if code in (1, 2) and len(lines) in (1, 2):
        return "refused"
    return f"breached: exit code {code} and {len(lines)} lines, {lines[-1:]}"


def ran(scene: Scene) -> str:
    """Types the command in a process of its own, which is watched."""
    root = Path(__file__).parents[2]
    listens = scene.here.parent / f"{scene.here.name}.listens"
    known = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    known |= {
        "SOME_TOKEN": SECRET,
        "LISTENS": str(listens),
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'src' / 'plugins'}",
    }
    time_command = ["-c", _WATCHED, *scene.argv]
    started = time.monotonic()
    with (scene.here.parent / "out").open("w+") as out, (scene.here.parent / "err").open("w+") as err:
        process = subprocess.Popen([sys.executable, *time_command], cwd=scene.here, env=known, stdout=out, stderr=err)
        most = 0
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            if time.monotonic() - started > SECONDS or most > KIBIBYTES:
                process.kill()
                process.wait()
                return f"breached: {most >> 10} MiB after {time.monotonic() - started:.0f} s"
            time.sleep(0.05)
        out.seek(0)
        err.seek(0)
        said = out.read(), err.read()
    if listens.exists():
        return f"breached: listened on {listens.read_text().strip()}"
    return judged(scene, process.returncode, *said)


def _resident(process: int) -> int:
    """KiB of memory that a process has now."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="attacks whose name holds one of these")
    words = parser.parse_args().words
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        whole = made(Path(scratch) / "whole")
        for number, name in enumerate(name for name in ATTACKS if not words or any(word in name for word in words)):
            here = Path(scratch) / str(number) / "here"
            here.mkdir(parents=True)
            outcome = ran(prepared(name, whole, here))
            counts[outcome.partition(":")[0]] += 1
            print(f"{name}: {outcome}", flush=True)
            shutil.rmtree(here.parent)
    print(
        f"{sum(counts.values())} attacks: "
        + ", ".join(f"{counts[each]} {each}" for each in ("refused", "harmless", "breached"))
    )
    if counts["breached"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
