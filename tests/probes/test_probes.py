"""A reader would believe numbers of a network's inside that are something else."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

from bnrepro.norms import NormLayers, find_factory
from bnrepro.probes import PROBES
from bnrepro.probes.network import Network, look
from bnrepro.probes.steps import steps_to_probe


class Net(nn.Module):
    """Two linear layers with a norm and a sigmoid, in float64."""

    def __init__(self, norm: str = "bn", activation: nn.Module | None = None) -> None:
        super().__init__()
        layers = NormLayers(find_factory(norm))
        self.below = nn.Linear(5, 4)
        self.norm = layers.norm(4)
        self.act = layers.activation()
        if activation is not None:
            self.act = activation
            activation.layer_role = "activation"
        self.above = nn.Linear(4, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.above(self.act(self.norm(self.below(x))))


def network(model: nn.Module) -> Network:
    torch.manual_seed(1)
    x, y = torch.randn(60, 5, dtype=torch.float64), torch.randint(0, 3, (60,))
    return Network(model, lambda model: model, nn.functional.cross_entropy, x, y, lambda model: {}).copied()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def moved(model: nn.Module, rate: float = 0.5) -> nn.Module:
    """One step of gradient descent on the probe batch."""
    own = network(model)
    own.backward()
    with torch.no_grad():
        for parameter in own.model.parameters():
            parameter -= rate * parameter.grad
    return own.model


def test_inputs_are_described_as_numpy_and_scipy_do():
    model = Net("none", nn.Sigmoid())
    with torch.no_grad():
        model.below.weight *= 6
    first, later = network(model), network(moved(model))
    found = PROBES["inputs"](look(first)).measure(look(later), later, None)
    x = later.model.norm(later.model.below(later.x)).detach().numpy()
    then = first.model.norm(first.model.below(first.x)).detach().numpy()
    act = found["activations"]["act"]
    assert act["mean"] == pytest.approx(x.mean(), abs=1e-6)
    assert act["sd"] == pytest.approx(x.std(), abs=1e-6)
    for key, share in (("q15", 0.15), ("q50", 0.5), ("q85", 0.85)):
        assert act[key] == pytest.approx(np.quantile(x, share), abs=1e-6)
        assert act[f"unit_{key}"] == pytest.approx(np.quantile(x[:, 2], share), abs=1e-6)
    moves = [wasserstein_distance(x[:, unit], then[:, unit]) for unit in range(4)]
    sd = (x.std(0) + then.std(0)).mean() / 2
    assert act["distance"] == pytest.approx(np.mean(moves) / sd, rel=1e-5)
    slope = np.exp(-x) / (1 + np.exp(-x)) ** 2
    assert 0 < act["saturated"] < 1
    assert act["saturated"] == pytest.approx((slope <= 0.025).mean())
    before = later.model.below(later.x).detach().numpy()
    assert found["norms"]["norm"]["sd"] == pytest.approx(before.std(), rel=1e-5)
    assert PROBES["inputs"](look(first)).measure(look(first), first, None)["norms"]["norm"]["distance"] == 0


@pytest.mark.parametrize(
    ("activation", "share"), [(nn.ReLU(), 0.5), (nn.ReLU(inplace=True), 0.5), (nn.Identity(), 0)]
)
def test_a_relu_is_saturated_where_its_slope_is_0_and_a_linear_network_never(activation, share):
    net = network(Net("bn", activation))
    found = PROBES["inputs"](look(net)).measure(look(net), net, None)
    assert found["activations"]["act"]["saturated"] == pytest.approx(share, abs=0.1)


def test_gradients_are_the_norms_of_autograds():
    net = network(Net())
    found = PROBES["gradients"](look(net)).measure(look(net), net, None)
    assert list(found) == ["below", "above"]
    hidden = net.model.below(net.x)
    hidden.retain_grad()
    net.model.zero_grad()
    logits = net.model.above(net.model.act(net.model.norm(hidden)))
    nn.functional.cross_entropy(logits, net.y).backward()
    assert found["below"]["weight"] == pytest.approx(net.model.below.weight.grad.norm().item())
    assert found["below"]["output"] == pytest.approx(hidden.grad.norm().item(), rel=1e-5)


def test_shift_is_the_gradient_after_the_step_of_the_layers_below():
    """Santurkar et al. 2018, definition 2.1, spelled out for two layers."""
    before, after = network(model := Net()), network(moved(model))
    found = PROBES["shift"](look(before)).measure(look(before), before, after)
    assert list(found) == ["above"], "the first layer has nothing below"
    mixed = before.copied()
    mixed.model.below.load_state_dict(after.model.below.state_dict())
    with torch.no_grad():
        for own, stepped in zip(mixed.model.norm.parameters(), after.model.norm.parameters(), strict=True):
            own.copy_(stepped)
    mixed.backward()
    before.backward()
    g, shifted = (net.model.above.weight.grad.flatten() for net in (before, mixed))
    cosine = torch.cosine_similarity(g, shifted, dim=0).item()
    assert found["above"]["cosine"] == pytest.approx(cosine)
    assert found["above"]["relative_l2"] == pytest.approx(((shifted - g).norm() / g.norm()).item())
    assert found["above"]["relative_l2"] > 0.01
    assert PROBES["shift"](look(before)).measure(look(before), before, None) == {}


def test_correlations_are_numpys():
    net = network(Net("ln"))
    found = PROBES["correlation"](look(net)).measure(look(net), net, None)
    before = net.model.below(net.x).detach()
    for place, x in (("before", before), ("after", net.model.norm(before).detach())):
        pairs = np.abs(np.corrcoef(x.numpy().T)[np.triu_indices(4, 1)])
        assert found[place]["norm"]["mean"] == pytest.approx(pairs.mean(), rel=1e-5)
        assert found[place]["norm"]["largest"] == pytest.approx(pairs.max(), rel=1e-5)
        rows = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)
        assert found[place]["norm"]["images"] == pytest.approx(
            np.abs((rows @ rows.T)[np.triu_indices(60, 1)]).mean(), rel=1e-5
        )


def test_what_is_not_defined_is_none_and_no_number():
    model = Net()
    with torch.no_grad():
        model.below.weight.zero_()
    net = network(model)
    found = PROBES["correlation"](look(net)).measure(look(net), net, None)["before"]["norm"]
    assert found["mean"] is None
    with torch.no_grad():
        model.below.weight.fill_(float("inf"))
    broken = network(model)
    found = PROBES["inputs"](look(net)).measure(look(broken), broken, None)
    assert found["activations"]["act"]["saturated"] is None
    assert found["activations"]["act"]["mean"] is None


def test_a_look_leaves_the_random_state_alone():
    state = torch.random.get_rng_state()
    model = Net("bn", nn.Sequential(nn.Sigmoid(), nn.Dropout(0.5)))
    torch.random.set_rng_state(state)
    net = network(model)
    torch.random.set_rng_state(state)
    assert look(net).loss == look(net).loss, "the same draws every time"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_steps_are_0_and_20_points_up_to_the_last():
    steps = steps_to_probe(100_000)
    assert steps[0] == 0
    assert steps[-1] == 100_000
    assert len(steps) == 21
    ratios = np.diff(np.log(steps[8:]))
    assert ratios.max() < 1.1 * ratios.min()
    assert steps_to_probe(5) == [0, 1, 2, 3, 4, 5]
    assert steps_to_probe(5, [9, 2, 2]) == [2]


def test_a_move_is_the_distance_between_a_step_and_the_next():
    first = network(Net("none", nn.Sigmoid()))
    later = network(moved(first.model))
    found = PROBES["moves"](look(first)).measure(look(first), first, later)
    since = PROBES["inputs"](look(first)).measure(look(later), later, None)
    for place in ("norms", "activations"):
        assert {name: each["distance"] for name, each in found[place].items()} == {
            name: each["distance"] for name, each in since[place].items()
        }
    assert found["activations"]["act"]["distance"] > 0
    assert PROBES["moves"](look(first)).measure(look(later), later, None) == {}, "after the last step"


def test_a_snapshot_is_the_network_as_it_was_then_until_the_one_after_the_next():
    own = network(Net())
    snapshot = own.snapshots()

    def at(value: float) -> nn.Module:
        with torch.no_grad():
            own.model.below.weight.fill_(value)
            own.model.norm.running_mean.fill_(value)
        return snapshot().model

    def values(model: nn.Module) -> set[float]:
        return {*model.below.weight.flatten().tolist(), *model.norm.running_mean.tolist()}

    first, second = at(1.0), at(2.0)
    assert values(first) == {1.0} and values(second) == {2.0}
    third = at(3.0)
    assert values(second) == {2.0} and values(third) == {3.0}
