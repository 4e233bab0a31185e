"""python -m tests.gallery: runs the lessons and keeps the README's pictures."""

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copyfile

HERE = Path(__file__).parent
START = ("model.init.weight=0.5", "model.init.bias=0.5")
# picture: the experiment, its overrides, and the figure that is kept
PICTURES = {
    "descent": (("descent=true", "model.init.weight=0", "model.init.bias=0"), "descent.gif"),
    "from_scratch": (("experiment=from_scratch", *START), "curves.png"),
    "model_class": (("experiment=model_class",), "fit.png"),
    "make_regression": (("experiment=make_regression",), "fit.png"),
    "mlp": (("model=mlp", "optimizer.lr=0.02"), "fit.png"),
    "learning_rate": (("experiment=learning_rate",), "loss_by_epoch.png"),
    "mini_batches": (("experiment=mini_batches",), "loss_by_step.png"),
    "activations": (("experiment=activations",), "fits.png"),
}


def main() -> None:
    """Makes every picture, or those named as arguments."""
    for name in sys.argv[1:] or PICTURES:
        overrides, figure = PICTURES[name]
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / name  # a sweep's pictures are titled by its folder
            where = (f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}")
            subprocess.run([sys.executable, "-m", "src.train", *overrides, *where], check=True)
            copyfile(folder / "figures" / figure, HERE / f"{name}{Path(figure).suffix}")


if __name__ == "__main__":
    main()
