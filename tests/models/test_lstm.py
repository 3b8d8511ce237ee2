"""The claim about recurrent networks would be tested on another cell than the paper's."""

import pytest
import torch
from tiny_runs import tiny_run
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import build_model
from bnrepro.norms import NormLayers, find_factory
from bnrepro.norms.batch_statistics import batch_statistics_layers

HIDDEN, STEPS = 5, 4


def network(norm, **options):
    torch.manual_seed(0)
    model = build_model("lstm", norm=norm, in_channels=1, hidden=HIDDEN, steps=STEPS, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def by_hand(model, x, norms):
    """The cell as written in the docstring, with `norms[time]` of state, input and cell."""
    state = cell = x.new_zeros(len(x), HIDDEN)
    for time, piece in enumerate(x.flatten(1).chunk(STEPS, 1)):
        of_state, of_input, of_cell = norms(time)
        gates = (
            of_state(state @ model.from_state.weight.T)
            + of_input(piece @ model.from_input.weight.T)
            + model.bias
        )
        f, i, o, g = gates.chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        state = o.sigmoid() * of_cell(cell).tanh()
    return model.classifier(state)


@pytest.mark.parametrize("statistics", ["per_step", "shared"])
def test_batch_norm_at_every_step_is_a_loop_of_separate_layers(statistics):
    """In float64: outputs, gradients through time and running statistics."""
    model = network("bn", statistics=statistics)
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    layers = {}

    def own(place, source, time):
        key = (place, time if statistics == "per_step" else 0)
        if key not in layers:
            size = 4 * HIDDEN if place != "cell" else HIDDEN
            layer = nn.BatchNorm1d(size).double()
            layer.weight, layer.bias = source.steps[0].weight, source.steps[0].bias
            layers[key] = layer
        return layers[key]

    def norms(time):
        places = (("state", model.state_norm), ("input", model.input_norm), ("cell", model.cell_norm))
        return [own(place, source, time) for place, source in places]

    expected = by_hand(model, x, norms)
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.requires_grad]
    model.zero_grad()
    found = model(x)
    found.square().sum().backward()

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter, gradient in zip(trained, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-9)
    for (place, time), layer in layers.items():
        ours = getattr(model, f"{place}_norm").steps[time]
        torch.testing.assert_close(ours.running_mean, layer.running_mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.running_var, layer.running_var, rtol=0, atol=1e-12)


def test_without_a_norm_it_is_a_plain_lstm():
    model = network("none")
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    plain = nn.LSTM(64 // STEPS, HIDDEN, batch_first=True).double()
    f, i, o, g = range(4)  # torch's order is i, f, g, o
    with torch.no_grad():
        for name, source in (
            ("weight_ih_l0", model.from_input.weight),
            ("weight_hh_l0", model.from_state.weight),
        ):
            parts = source.chunk(4, 0)
            getattr(plain, name).copy_(torch.cat([parts[i], parts[f], parts[g], parts[o]]))
        parts = model.bias.chunk(4, 0)
        plain.bias_ih_l0.copy_(torch.cat([parts[i], parts[f], parts[g], parts[o]]))
        plain.bias_hh_l0.zero_()
    _, (state, _) = plain(x.view(3, STEPS, -1))
    torch.testing.assert_close(model(x), model.classifier(state[0]))


def test_statistics_of_every_step_are_counted_by_the_formula():
    """2 · 9 H T floats: mean and variance of 4 H, 4 H and H units at each of T steps."""
    layers = batch_statistics_layers(network("bn", statistics="per_step")).values()
    assert (
        sum(layer.running_mean.numel() + layer.running_var.numel() for layer in layers)
        == 2 * 9 * HIDDEN * STEPS
    )
    shared = batch_statistics_layers(network("bn", statistics="shared")).values()
    assert len(shared) == 3
    assert len(batch_statistics_layers(network("bn", statistics="input_only"))) == 1


def test_weights_start_small_and_the_gates_have_one_bias():
    model = build_model("lstm", norm="bn", in_channels=1, hidden=HIDDEN, steps=STEPS)
    assert model.cell_norm.steps[0].weight.unique().tolist() == [pytest.approx(0.1)]
    assert model.cell_norm.steps[1].weight is model.cell_norm.steps[0].weight
    assert not model.input_norm.steps[0].bias.requires_grad
    assert model.cell_norm.steps[0].bias.requires_grad
    assert model.bias.tolist() == [1.0] * HIDDEN + [0.0] * 3 * HIDDEN


def test_steps_beyond_the_last_layer_use_it():
    model = network("bn").eval()
    model.blank_steps = 3
    assert model(torch.randn(2, 1, 8, 8, dtype=torch.float64)).isfinite().all()


@pytest.mark.parametrize("options", [{"affine": "weight"}, {"affine": "none"}, {"initial_weight": 0.3}])
def test_a_weight_or_bias_of_ones_own_is_refused(options):
    """Else the cell's own 0.1 would take the place of what was asked for."""
    layers = NormLayers(find_factory("bn"), options)
    with pytest.raises(UsageError, match=r"model=lstm: .* leave out norm\.affine and norm\.initial_weight"):
        build_model("lstm", norm=layers, in_channels=1)


def test_pieces_that_do_not_come_out_even_are_refused():
    with pytest.raises(UsageError, match=r"model\.steps=7: does not divide the 64"):
        build_model("lstm", norm="ln", in_channels=1, steps=7)


@pytest.mark.parametrize("norm", ["bn", "ln", "none"])
def test_it_trains_with_adam_and_clipped_gradients(norm, tmp_path):
    options = ["model=lstm", "model.hidden=8", "optimizer=adam", "optimizer.clip_norm=1", f"norm={norm}"]
    result = tiny_run(tmp_path, *options)
    assert result["status"] == "completed", result["message"]
