"""TabM (Gorishniy, Kotelnikov and Babenko, 2024): one net, many predictions, by the authors' package."""

from typing import Any

from torch import Tensor, nn

from src.errors import UserError


class TabM(nn.Module):
    """k predictions from shared weights, each learning by itself; their mean is what the net predicts.

    Args:
        features: columns of the input.
        k: predictions.
        blocks: hidden layers.
        width: of each.
        dropout: probability of a hidden value being zeroed while training.
        outputs: columns of the output.

    Shape:
        (rows, features) to (rows, k, outputs) while training, else to (rows, outputs).

    Raises:
        UserError: the package is not installed.
    """

    several = True  # the loss is the mean of its predictions' losses, not that of their mean

    def __init__(self, features: int, k: int, blocks: int, width: int, dropout: float, outputs: int = 1) -> None:
        super().__init__()
        try:
            import tabm
        except ImportError:
            raise UserError(
                "model=tabm needs the package tabm: python -m pip install -c constraints.txt -e '.[tabm]'"
            ) from None
        options: dict[str, Any] = {"k": k, "n_blocks": blocks, "d_block": width, "dropout": dropout}
        self.net = tabm.TabM.make(n_num_features=features, d_out=outputs, **options)

    def forward(self, features: Tensor) -> Tensor:
        """Predictions in encoded units: each of them while training, then their mean."""
        found = self.net(features)
        return found if self.training else found.mean(-2)
