"""Bytes of states and updates by optimizer and precision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_shapes import A100, H100

from clustersim.cost.optimizers import OPTIMIZERS, optimizer_bytes, optimizer_time

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "fp8")


@pytest.mark.parametrize(
    ("precision", "optimizer", "total"),
    [
        ("fp32", "adam", 16),
        ("fp16", "adam", 16),  # Rajbhandari et al., SC20, section 3.1
        ("bf16", "adam", 18),  # Megatron-LM, distributed optimizer: 6 + 12/d
        ("fp8", "adam", 18),
        ("bf16", "adam-8bit", 12),
        ("bf16", "adafactor", 10),
        ("bf16", "lamb", 18),
        ("tf32", "sgd", 12),
        ("fp16", "sgd", 12),
    ],
)
def test_a_parameter_takes_the_published_bytes(precision, optimizer, total):
    assert sum(optimizer_bytes(optimizer, precision)) == total


def test_the_distributed_optimizer_divides_twelve_of_eighteen_bytes():
    """Gradients in fp32: 18 bytes, 6 + 12/d (Megatron-LM, docs of the distributed optimizer)."""
    state = optimizer_bytes("adam", "bf16")
    assert (state.weights + state.gradients, state.master_weights + state.optimizer_states) == (6, 12)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_can_be_kept_in_another_precision(precision):
    default, other = optimizer_bytes("adam", precision), optimizer_bytes("adam", precision, gradient_bytes=3)
    assert other == default._replace(gradients=3)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_update_moves_at_least_its_weights_gradients_and_states(optimizer, precision):
    """States and weights are read and written, gradients read."""
    state = optimizer_bytes(optimizer, precision)
    least = 8 + state.gradients + 2 * OPTIMIZERS[optimizer].state_bytes
    parameters = 1e9
    accelerator = H100
    seconds = optimizer_time(accelerator, optimizer, parameters, precision).seconds
    assert seconds * accelerator.memory_bandwidth_bytes_per_s >= parameters * least


@given(parameters=st.floats(1e8, 1e10), parts=st.integers(2, 64))
def test_the_time_of_an_update_is_linear_in_the_parameters(parameters, parts):
    whole, part = (optimizer_time(A100, "adam", each, "bf16") for each in (parameters, parameters / parts))
    assert part.seconds * parts == pytest.approx(whole.seconds, rel=0.05)


def test_nothing_trained_takes_no_time():
    assert optimizer_time(A100, "adam", 0, "bf16").seconds == 0.0
