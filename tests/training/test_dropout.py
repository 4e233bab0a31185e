"""Masks of dropout: how often, what is left, and that alone and stacked they are the same."""

import pytest
import torch
from torch import nn

from src.training.dropout import Noise, seed_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.97, 1.0])
def test_values_are_zero_or_larger_so_that_their_mean_stays(rate: float, dtype: torch.dtype) -> None:
    noise = Noise([3])
    found = noise.layer([rate], stacked=False)(torch.ones(501, 403, dtype=dtype))
    kept = found[found != 0].float()
    deviation = (rate * (1 - rate) / found.numel()) ** 0.5
    assert abs(1 - len(kept) / found.numel() - rate) < 5 * deviation + 2**-16
    assert found.dtype == dtype
    if rate < 1:
        assert kept.unique().numel() == 1
        assert float(kept[0]) == pytest.approx(1 / (1 - rate), rel=5e-3)
    # Neighbours share a draw of 64 bits, and must not share its luck.
    pairs = ((found == 0)[:, 1:] & (found == 0)[:, :-1]).float().mean()
    assert float(pairs) == pytest.approx(rate**2, abs=5e-3)


def test_members_draw_what_each_draws_alone_and_each_epoch_anew() -> None:
    rates, rows = [0.1, 0.0, 0.6], torch.ones(3, 7, 5)
    together = Noise([4, 5, 6]).layer(rates, stacked=True)
    alone = [Noise([seed]).layer([rate], stacked=False) for seed, rate in zip((4, 5, 6), rates, strict=True)]
    masks = []
    for epoch in (0, 1, 0):
        for layer in (together, *alone):
            layer.noise.start(epoch)
        masks.append(together(rows))
        assert torch.equal(masks[-1], torch.stack([layer(rows[0]) for layer in alone]))
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def test_dropout_fades() -> None:
    """Half of the values in the first half of the epochs, and none in the end; for ever where nobody knows the end."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.0))
    net[0].fades = True
    noise = Noise([0])
    seed_dropout(net, noise)
    for epochs, zeros in ((8, [0.5, 0.5, 0.25, 0.0]), (-1, [0.5] * 4)):
        noise.epochs = [epochs]
        shares = []
        for epoch in (0, 4, 6, 8):
            noise.start(epoch)
            shares.append(float((net(torch.ones(20_000)) == 0).float().mean()))
        assert shares == pytest.approx(zeros, abs=0.02)


def test_rows_that_only_fill_up_are_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Noise([1, 2])
    noise.rows = [4, 2]
    layer = noise.layer([0.5, 0.0], stacked=True)
    first = layer(torch.ones(2, 6, 3))
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *sizes, **named: empty(*sizes, **named).fill_(77))
    noise.start(0)
    assert torch.equal(layer(torch.ones(2, 6, 3)), first)
