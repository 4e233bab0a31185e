"""What each value of the configuration may be."""

from src.config.bounds import Auto, Character, Choice, Codes, Columns, Each, Number, Rule, Text

_any = Number("a number", lambda v: True)
_positive = Number("a number above 0", lambda v: v > 0)
_from_zero = Number("a number from 0 on", lambda v: v >= 0)
_below_one = Number("a number from 0 to below 1", lambda v: 0 <= v < 1)
_inside_one = Number("a number between 0 and 1, both excluded", lambda v: 0 < v < 1)
_count = Number("a whole number from 1 on", lambda v: v >= 1, whole=True)
_count_or_null = Number("a whole number from 1 on", lambda v: v >= 1, whole=True, optional=True)
_several_or_null = Number("a whole number from 2 to 10000", lambda v: 2 <= v <= 10_000, whole=True, optional=True)
_natural = Number("a whole number from 0 on", lambda v: v >= 0, whole=True)
_flag = Choice((True, False))
_name = Text(optional=True)
_names = Each(Text(), "a list of column names, [a,b]", empty=True)
_mark = Character()
_interval = Choice(("epoch", "step"))
# Lightning's names, its aliases last. Not its 16-true and bf16-true, which round weights and updates as well.
_precision = (
    "32-true",
    "64-true",
    "16-mixed",
    "bf16-mixed",
    32,
    64,
    16,
    "32",
    "64",
    "16",
    "bf16",
)
# What a key may be, wherever it stands: an optimizer that is added with a known key is checked already.
RULES: dict[str, dict[str, Rule]] = {
    "": {
        "folds": _several_or_null,
        "fold": Number("a whole number from 0 on, below folds", lambda v: v >= 0, whole=True, optional=True),
        "ensemble": _several_or_null,
        "seed": _natural,
        "figures": Choice(("auto", True, False)),
        "baselines": Choice((None, True, False, "line")),
        "graph": _flag,
        "descent": _flag,
        "allow_changed_data": _flag,
        "name": Text(),
    },
    "data": {
        "_target_": Text(),
        "batch_size": Auto(_count_or_null),
        "split_seed": Number("a whole number from 0 on", lambda v: v >= 0, whole=True, optional=True),
        "shuffle": _flag,
        "val_fraction": _below_one,
        "test_fraction": _below_one,
        "standardize": Choice(("auto", True, False)),
        "scaling": Choice(("auto", "standard", "robust", "quartile", "quantile", "none")),
        "target_scaling": Choice(("auto", "standard", "log", "yeo-johnson", "none")),
        "numeric_embedding": Choice(("auto", "none", "piecewise_linear", "periodic")),
        "numeric_bins": Number("a whole number from 2 on", lambda v: v >= 2, whole=True),
        "drop": _names,
        "numeric": _names,
        "categorical": _names,
        "missing": Each(Text(), "a list of words, [none,'-9']", empty=True),
        "group": _name,
        "time": _name,
        "split": _name,
        "weight": _name,
        "delimiter": _mark,
        "quote": _mark,
        "decimal": Choice((None, ".", ",")),
        "encoding": _name,
        "features": Each(Text(), "a list of column names, [a,b]", optional=True),
        "target": Columns(),
        "path": Text(),
        "kind": Choice(("linear", "sine")),
        "n_samples": Number("a whole number from 2 on", lambda v: v >= 2, whole=True),
        "n_features": _count,
        "n_informative": _count,
        "bias": _any,
        "effective_rank": _count_or_null,
        "tail_strength": Number("a number from 0 to 1", lambda v: 0 <= v <= 1),
        "noise": _from_zero,
        "shuffle_columns": _flag,
        "random_state": Number("a whole number from 0 to 2³² - 1", lambda v: 0 <= v < 2**32, whole=True),
    },
    "model": {
        "_target_": Text(),
        "gradient": Choice(("autograd", "analytic")),
        "hidden": Each(_count, "a list of widths from 1 on, [64,64]"),
        "activation": Text(),
        "dropout": _below_one,
        "width": _count,
        "blocks": _count,
        "expansion": _positive,
        "k": _count,
        "start": Choice((None, "least_squares")),
    },
    "model.init": {
        "weight": Number("a number", lambda v: True, optional=True),
        "bias": Number("a number", lambda v: True, optional=True),
    },
    "loss": {
        "_target_": Text(),
        "delta": _positive,
        "levels": Each(_inside_one, "a list of numbers between 0 and 1, [0.05,0.5,0.95]"),
    },
    "optimizer": {
        "_target_": Text(),
        "lr": _positive,
        "momentum": _below_one,
        "nesterov": _flag,
        "weight_decay": _from_zero,
        "betas": Each(_below_one, "two numbers from 0 to below 1, [0.9,0.999]", length=2),
        "eps": _from_zero,
        "alpha": _below_one,
        "amsgrad": _flag,
        "centered": _flag,
    },
    "scheduler": {
        "step_size": _count,
        "gamma": _positive,
        "T_max": _count_or_null,
        "eta_min": _from_zero,
        "factor": _inside_one,
        "patience": _natural,
        "threshold": _from_zero,
        "cooldown": _natural,
        "min_lr": _from_zero,
        "mode": Choice(("min", "max")),
        "max_lr": Number("a number above 0", lambda v: v > 0, optional=True),
        "total_steps": _count_or_null,
        "pct_start": _inside_one,
        "interval": _interval,
    },
    "study": {"new": _flag},
    "checks": {"ignore": Codes()},
    "trainer": {
        "accelerator": Choice(("auto", "cpu", "gpu", "cuda", "mps", "tpu")),
        "steps_per_execution": Auto(_count),
        "threads": Auto(Number("a whole number from 1 to 1024", lambda v: 1 <= v <= 1024, whole=True)),
        "precision": Choice(_precision),
        "max_epochs": Number(
            "a whole number from 1 on, or -1 with trainer.max_steps", lambda v: v >= 1 or v == -1, True
        ),
        "max_steps": Number("a whole number from 1 on, or -1 for no limit", lambda v: v >= 1 or v == -1, True),
        "check_val_every_n_epoch": _count,
        "gradient_clip_val": Number("a number above 0", lambda v: v > 0, optional=True),
        "gradient_clip_algorithm": Choice(("norm", "value")),
        "accumulate_grad_batches": _count,
        "deterministic": _flag,
    },
    "callbacks.checkpoints": {
        "every_n_seconds": _positive,
        "every_n_epochs": _count_or_null,
        "every_n_steps": _count_or_null,
    },
    "callbacks.progress": {"every_n_epochs": _count_or_null},
    "callbacks.early_stopping": {"patience": Auto(_count), "min_delta": _from_zero, "mode": Choice(("min", "max"))},
    "logger.tensorboard": {"max_points": _count_or_null},
}
