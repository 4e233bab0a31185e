"""Chains in one stack against each of them alone: outputs, gradients, masks, optimizer steps and files."""

import copy
import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from src.models.mlp import ACTIVATIONS, MLP
from src.training.chains import chain, groups, in_order
from src.training.padded_stack import PaddedStack, padded_stack
from src.training.stack import ROW, Alone, Lone

FEATURES, ROWS = 5, 11
KINDS = [*ACTIVATIONS.values(), nn.Softplus, lambda: nn.LeakyReLU(0.3), lambda: nn.ReLU(inplace=True)]


def net(hidden: Sequence[int], kinds: Sequence[nn.Module], rates: Sequence[float], biases: Sequence[bool]) -> nn.Module:
    """A chain in double precision, its layers nested as a user might nest them."""
    layers, width = [], FEATURES
    for out, kind, rate, bias in zip(hidden, kinds, rates, biases, strict=False):
        layers.append(nn.Sequential(nn.Linear(width, out, bias=bias), kind))
        if rate:
            layers.append(nn.Dropout(rate))
        width = out
    return nn.Sequential(*layers, nn.Linear(width, 2, bias=biases[-1])).double()


def some(count: int, seed: int, dropout: bool, biasless: bool = True) -> list[nn.Module]:
    """Random chains of no, one, … four hidden layers."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    nets = []
    for place in range(count):
        depth = place % 5
        nets.append(
            net(
                [draw.randint(1, 33) for _ in range(depth)],
                [KINDS[(place + level * draw.randint(0, 1)) % len(KINDS)]() for level in range(depth)],
                [draw.choice([0.0, 0.2, 0.6]) if dropout else 0.0 for _ in range(depth)],
                [draw.random() < 0.7 or not biasless for _ in range(depth + 1)],
            )
        )
    draw.shuffle(nets)
    return nets


def arranged(nets: list[nn.Module], order: str = "in order") -> list[nn.Module]:
    """In the order of activations too, or by depth only."""
    if order == "by depth":
        return sorted(nets, key=lambda each: -len(chain(each) or ()))
    return [nets[place] for place in in_order(nets)]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def learn(alone: Lone, features: Tensor, target: Tensor) -> Tensor:
    found = alone.forward(features)
    alone.net.zero_grad()
    ((found - target) ** 2).mean().backward()
    return found.detach()


@pytest.mark.parametrize("order", ["in order", "by depth"])
@pytest.mark.parametrize("dropout", [False, True])
def test_training_equals_each_chain_alone(order: str, dropout: bool) -> None:
    nets = arranged(some(24, seed=1, dropout=dropout), order)
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(len(nets), ROWS, FEATURES, generator=generator).double(), torch.randn(len(nets), ROWS, 2).double())
        for _ in range(5)
    ]
    stack, others = (
        padded_stack(nets, range(len(nets)), batches[0][0][0]),
        [Lone(copy.deepcopy(each), seed) for seed, each in enumerate(nets)],
    )
    assert stack.noisy == dropout
    there = present(stack, nets)
    weights = nn.Parameter(stack.matrix.values)
    weights.grad = stack.matrix.gradient
    rule = torch.optim.AdamW([weights], lr=0.01, weight_decay=0.1)
    rules = [torch.optim.AdamW(other.net.parameters(), lr=0.01, weight_decay=0.1) for other in others]
    members = list(range(len(nets)))
    stack.noise.start(0)
    for other in others:
        other.noise.start(0)
    for step, (features, target) in enumerate(batches):
        if step == 3:
            members = [member for member in members if member % 3]
            index = torch.tensor(members)
            state = {name: part[index] if part.dim() else part for name, part in rule.state[weights].items()}
            stack.keep(index)
            there = there[index]
            weights = nn.Parameter(stack.matrix.values)
            weights.grad = stack.matrix.gradient
            rule = torch.optim.AdamW([weights], lr=0.01, weight_decay=0.1)
            rule.state[weights] = state
        assert stack.size == len(members)
        stack.matrix.gradient.zero_()
        found = stack.forward(features[members])
        ((found - target[members]) ** 2).mean((1, 2)).sum().backward()
        stack.mend()
        assert not stack.matrix.gradient[~there].any()
        for place, member in enumerate(members):
            other = others[member]
            close(found[place].detach(), learn(other, features[member], target[member]))
            for name, part in stack.state({ROW: stack.matrix.gradient[place]}, member).items():
                close(part, other.net.get_parameter(name).grad)
            rules[member].step()
        rule.step()
        assert not stack.matrix.values[~there].any()
    for place, member in enumerate(members):
        expected = others[member].net.state_dict()
        state = stack.state({ROW: stack.matrix.values[place]}, member)
        assert list(state) == list(nets[member].state_dict())
        for name, part in state.items():
            torch.testing.assert_close(part, expected[name], rtol=1e-9, atol=1e-10)


def present(stack: PaddedStack, nets: list[nn.Module]) -> Tensor:
    """Where the matrix has entries of members, told by the sizes of states: (members, columns) of booleans."""
    columns = torch.arange(1.0, stack.matrix.values.shape[1] + 1, dtype=torch.float64)
    found = torch.zeros(stack.matrix.values.shape, dtype=torch.bool)
    for member, each in enumerate(nets):
        places = torch.cat([part.flatten() for part in stack.state({ROW: columns}, member).values()]).long() - 1
        assert len(places) == len(places.unique()) == sum(part.numel() for part in each.parameters())
        found[member, places] = True
    assert not stack.matrix.values[~found].any()
    return found


def test_a_state_is_the_nets_own_in_names_shapes_and_order() -> None:
    nets = [MLP(3, [4, 2], "tanh", 0.1), MLP(3, [7], "elu", 0.0), nn.Linear(3, 1), MLP(3, [], "relu", 0.0)]
    stack = padded_stack(nets, range(4), torch.randn(8, 3))
    for member, each in enumerate(nets):
        state = stack.state({ROW: stack.matrix.values[member].clone()}, member)
        expected = each.state_dict()
        assert list(state) == list(expected)
        assert all(torch.equal(state[name], expected[name]) for name in expected)
        assert list(stack.unflat(stack.matrix.values[member], member)) == [name for name, _ in each.named_parameters()]
        each.load_state_dict(state)


def test_equal_chains_are_packed_without_padding() -> None:
    nets = [MLP(3, [4, 4], kind, 0.0) for kind in ("sigmoid", "relu")]
    stack = PaddedStack(nets, range(2))
    for row, each in zip(stack.matrix.values, nets, strict=True):
        assert torch.equal(row, torch.cat([part.flatten() for part in each.parameters()]))


def test_one_net_may_stand_for_many_members() -> None:
    each = MLP(FEATURES, [6], "gelu", 0.5)
    stack = padded_stack([each] * 3, [1, 2, 1], torch.randn(ROWS, FEATURES))
    found = stack.forward(torch.randn(ROWS, FEATURES))
    assert torch.equal(found[0], found[2])  # of one seed
    assert not torch.equal(found[0], found[1])


def test_neighbours_may_have_other_activations() -> None:
    kinds = ["relu", "sigmoid", "gelu"] * 4
    nets = [MLP(FEATURES, [6] * (2 - place // 8), kind, 0.0).double() for place, kind in enumerate(kinds)]
    features = torch.randn(ROWS, FEATURES, dtype=torch.float64)
    stack = padded_stack(nets, range(len(nets)), features)
    stack.forward(features).square().sum().backward()
    for member, each in enumerate(nets):
        each(features).square().sum().backward()
        for name, part in stack.state({ROW: stack.matrix.gradient[member]}, member).items():
            close(part, each.get_parameter(name).grad)


def test_a_member_among_others_may_be_wider_deeper_or_without_bias_where_nobody_else_is() -> None:
    nets = [net([2, 9], [nn.Tanh()] * 2, [0, 0], [True, False, True]), net([40], [nn.Softplus()], [0], [False, True])]
    features = torch.randn(ROWS, FEATURES, dtype=torch.float64)
    assert padded_stack(nets, [0, 1], features).size == 2


def test_in_evaluation_nothing_is_dropped() -> None:
    nets = arranged(some(10, seed=3, dropout=True))
    stack, features = PaddedStack(nets, range(10)), torch.randn(ROWS, FEATURES).double()
    stack.net.eval()
    for found, each in zip(stack.forward(features), nets, strict=True):
        close(found.detach(), each.eval()(features).detach())


def test_the_gradient_is_mended_only_where_members_lack_something_in_a_layer() -> None:
    def mends(nets: list[nn.Module]) -> bool:
        stack = PaddedStack(nets, range(len(nets)))
        stack.matrix.gradient.fill_(1)
        stack.mend()
        return not bool(stack.matrix.gradient.all())

    assert not mends([MLP(2, [8, 8], "sigmoid", 0.0), MLP(2, [8], "sigmoid", 0.0)])
    assert mends([MLP(2, [8], "relu", 0.0), MLP(2, [3], "sigmoid", 0.0)])  # sigmoid(0) is a half
    assert mends([nn.Linear(2, 1), nn.Linear(2, 1, bias=False)])


class Around(nn.Module):
    """A Sequential with something around it."""

    def __init__(self, scale: float, *layers: nn.Module) -> None:
        super().__init__()
        self.body, self.scale = nn.Sequential(*layers), scale

    def forward(self, features: Tensor) -> Tensor:
        return self.body(features) * self.scale


class Centred(nn.Module):
    """Not element-wise: it looks at all rows."""

    def forward(self, values: Tensor) -> Tensor:
        return values - values.mean()


class Root(nn.Module):
    """Without a slope at zero, where padding lies."""

    def forward(self, values: Tensor) -> Tensor:
        return values.abs().sqrt()


def test_blocks_are_found_through_nesting_identities_and_modules_around() -> None:
    tanh = nn.Tanh()
    each = Around(
        1.0,
        nn.Linear(2, 3),
        nn.Identity(),
        nn.Sequential(tanh, nn.Dropout(0.1)),
        nn.Linear(3, 3),
        tanh,
        nn.Linear(3, 1),
        nn.Identity(),
    )
    blocks = chain(each)
    assert blocks is not None
    assert [(b.linear.in_features, b.activation, b.dropout) for b in blocks[:2]] == [(2, tanh, 0.1), (3, tanh, 0.0)]
    assert (blocks[2].linear.in_features, type(blocks[2].activation), blocks[2].dropout) == (3, nn.Identity, 0.0)
    assert [b.linear.in_features for b in chain(MLP(4, [], "relu", 0.5)) or []] == [4]
    assert [b.linear.in_features for b in chain(nn.Linear(4, 1)) or []] == [4]


TIED = nn.Linear(2, 2)
FROZEN = nn.Linear(2, 1).requires_grad_(False)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1)],
        [nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 1)],
        [nn.Linear(2, 3), nn.Softmax(dim=-1), nn.Linear(3, 1)],
        [nn.Linear(2, 3), nn.Flatten(), nn.Linear(3, 1)],
        [nn.Linear(2, 3), nn.RReLU(), nn.Linear(3, 1)],
        [nn.Linear(2, 3), Centred(), nn.Linear(3, 1)],
        [nn.Linear(2, 3), Root(), nn.Linear(3, 1)],
        [nn.Linear(2, 3), nn.Dropout(0.1), nn.ReLU(), nn.Linear(3, 1)],
        [nn.Dropout(0.1), nn.Linear(2, 1)],
        [nn.Linear(2, 1), nn.ReLU()],
        [TIED, nn.ReLU(), TIED, nn.Linear(2, 1)],
        [nn.Linear(2, 2), nn.ReLU(), FROZEN],
        [nn.ReLU()],
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_what_is_no_chain_is_told(layers: list[nn.Module]) -> None:
    each = nn.Sequential(*layers)
    assert chain(each) is None
    assert groups([each, nn.Linear(2, 1)]) == [[1]]
    with pytest.raises(Alone, match="no chain"):
        PaddedStack([each], [0])


def test_a_forward_of_its_own_is_no_chain_even_while_weights_are_zero() -> None:
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    nn.init.zeros_(layers[2].weight)
    nn.init.zeros_(layers[2].bias)
    assert chain(Around(1.0, *layers)) is not None
    assert chain(Around(2.0, *layers)) is None


def test_inputs_and_outputs_have_one_width() -> None:
    with pytest.raises(Alone, match="one width of inputs"):
        PaddedStack([nn.Linear(2, 1), nn.Linear(3, 1)], [0, 1])


def test_groups_are_by_width_and_stacks_are_sorted_by_depth_and_activation() -> None:
    shapes = [([8], "relu"), ([32], "tanh"), ([8, 8], "relu"), ([8], "gelu"), ([32, 16], "relu"), ([8, 8], "gelu")]
    nets = [MLP(3, hidden, kind, 0.0) for hidden, kind in shapes]
    assert groups(nets) == [[0, 2, 3, 5], [1, 4]]
    assert in_order(nets) == [5, 2, 4, 3, 0, 1]


def test_who_would_be_alone_joins_a_slightly_wider_group() -> None:
    nets = [MLP(3, hidden, "relu", 0.0) for hidden in ([30], [30], [24], [12], [])]
    assert groups(nets) == [[0, 1, 2], [3, 4]]
    assert groups([*nets, MLP(4, [30], "relu", 0.0), MLP(3, [30], "relu", 0.0).double()]) == [
        [0, 1, 2],
        [3, 4],
        [5],
        [6],
    ]
