"""Losses that have no member axis are told before a stack is trained with them."""

import pytest
import torch
from torch import Tensor, nn

from src.training.losses import Losses, check_losses
from src.training.stack import Alone


class Asserting(nn.Module):
    """Looks at a value in Python, which it has not under vmap."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        assert float((prediction - target).abs().max()) >= 0
        return nn.functional.mse_loss(prediction, target)


class Speechless(nn.Module):
    """Raises what no list names."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        if torch._C._functorch.is_batchedtensor(prediction):
            raise AssertionError
        return nn.functional.mse_loss(prediction, target)


class Own(nn.Module):
    """Any mean."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).abs().pow(1.5).mean()


@pytest.mark.parametrize("loss", [Asserting(), Speechless()], ids=lambda loss: type(loss).__name__)
def test_a_loss_that_raises_on_a_member_axis_trains_alone(loss: nn.Module) -> None:
    with pytest.raises(Alone, match="its loss has no form with a member axis"):
        check_losses([loss], ragged=False)


@pytest.mark.parametrize("loss", [Own(), nn.SmoothL1Loss()], ids=lambda loss: type(loss).__name__)
def test_each_member_has_the_loss_that_it_has_alone(loss: nn.Module) -> None:
    check_losses([loss], ragged=False)
    prediction, target = torch.randn(2, 3, 8, 1, dtype=torch.float64)
    found = Losses([loss] * 3)(prediction, target)
    torch.testing.assert_close(found, torch.stack([loss(*pair) for pair in zip(prediction, target, strict=True)]))


def test_who_has_no_mean_over_rows_has_no_batches_of_its_own() -> None:
    with pytest.raises(Alone, match="no mean over rows"):
        check_losses([Own()], ragged=True)
