"""Utilisation, energy and money: what follows from the speed of a job, and is refused where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from training_jobs import cluster, job, run, workload

from clustersim.errors import InputError
from clustersim.workloads.training.economics import Economics
from clustersim.workloads.training.workload import TrainingWorkload

H100 = "dgx-h100"


def trained(**fields: Any) -> TrainingWorkload:
    spec = job(**{"model": "gpt2-small", "micro_batch": 1, "sequence": 1024, "steps": 1} | fields)
    return run(spec, cluster(nodes=1, node=H100))[0]


def metrics(**fields: Any) -> dict[str, float]:
    return dict(trained(**fields).outcome().metrics)


def test_mfu_is_six_flops_per_weight_and_token_and_attention_over_the_peak():
    found = metrics()
    products = 6 * 123_532_032  # the weights that tokens are multiplied with, those of the output too
    attention = 12 * 12 * 768 * 1024
    per_second = found["tokens_per_s"] * (products + attention)
    assert found["mfu"] == pytest.approx(per_second / (8 * 989.4e12), rel=1e-3)
    causal = found["tokens_per_s"] * (products + attention / 2)
    assert found["mfu_causal"] == pytest.approx(causal / (8 * 989.4e12), rel=1e-3)


def test_without_recomputation_hardware_does_what_the_model_needs():
    found = metrics()
    assert (found["hfu"], found["hfu_causal"]) == (found["mfu"], found["mfu_causal"])


def test_full_recomputation_adds_a_forward_pass_of_the_layers():
    """An encoder's output layer is a small part of it: 4 forward passes instead of 3."""
    found = metrics(model="bert-large", sequence=512, recompute="full")
    assert found["hfu"] / found["mfu"] == pytest.approx(4 / 3, rel=0.02)
    assert found["mfu_causal"] == found["mfu"]


def test_hfu_counts_the_layers_that_are_recomputed():
    none, some, every = (
        metrics(model="bert-large", sequence=512, recompute="full", recompute_layers=layers)
        for layers in (None, 6, 24)
    )
    assert every["hfu"] / every["mfu"] == pytest.approx(none["hfu"] / none["mfu"])
    gain = none["hfu"] / none["mfu"] - 1
    assert some["hfu"] / some["mfu"] - 1 == pytest.approx(gain * 6 / 24)


def test_causal_hfu_masks_what_is_recomputed_too():
    flops = trained(recompute="full").job.cost.flops
    masked = flops.hardware - flops.hardware_without_masked
    assert masked == pytest.approx(0.5 * (3 + 1) * flops.pairs)


def test_a_node_of_h100_takes_the_power_that_was_measured_at_full_load():
    """Latif et al., 2025: at most 8.48 kW; 7.75 kW (76 % of 10.2 kW) in heavy training runs."""
    economics = Economics.of(trained(economics={"pue": 1.0}).job)
    assert economics.cost.power_w(8, 1.0) == pytest.approx(8480, rel=0.01)
    assert economics.cost.power_w(8, 0.75) == pytest.approx(7750, rel=0.02)


def test_the_host_and_the_data_centre_are_options():
    bare = Economics.of(trained(economics={"pue": 1.0, "host_power": "0 W"}).job)
    assert bare.cost.power_w(8, 1.0) == pytest.approx(8 * 700)
    assert bare.cost.power_w(8, 0.0) == pytest.approx(8 * 350)
    assert Economics.of(trained(economics={"pue": 1.5, "host_power": "100 W"}).job).cost.power_w(8, 1.0) == (
        pytest.approx(1.5 * 8 * 800)
    )


def test_a_run_takes_tokens_over_tokens_per_second_and_energy_and_money_for_that_long():
    found = metrics(economics={"tokens": "300 B tokens", "price": "2 USD/h"})
    seconds = 300e9 / found["tokens_per_s"]
    assert found["run_days"] == pytest.approx(seconds / 86400)
    assert found["run_energy_kwh"] == pytest.approx(found["power_w"] / 1000 * seconds / 3600)
    assert found["price_usd_per_h"] == pytest.approx(16)
    assert found["run_price_usd"] == pytest.approx(16 * seconds / 3600)


def test_images_are_counted_in_samples():
    found = metrics(model="resnet-50", sequence=None, micro_batch=64, economics={"samples": 1_281_167 * 90})
    assert found["run_days"] == pytest.approx(1_281_167 * 90 / found["samples_per_s"] / 86400)


def test_without_a_scenario_s_price_the_lowest_of_the_catalogue_is_taken_and_named():
    outcome = trained().outcome()
    assert outcome.metrics["price_usd_per_h"] == pytest.approx(8 * 2.99)
    assert outcome.facts["price"] == "2.99 USD/h per GPU (Lambda, lambda-8x-h100-sxm)"
    assert "run_days" not in outcome.metrics
    assert metrics(economics={"provider": "AWS"})["price_usd_per_h"] == pytest.approx(98.32)


def test_what_is_not_known_is_left_out():
    spec = job(model="gpt2-small", micro_batch=1, sequence=1024, steps=1)
    found = run(spec, cluster(nodes=1, node="mi300x-x8"))[0].outcome().metrics
    assert "price_usd_per_h" not in found
    assert found["power_w"] > 8 * 750


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"economics": {"provider": "Lamda"}}, "economics.provider: .*Did you mean 'Lambda'"),
        ({"economics": {"samples": 5}}, "economics.samples: .* is trained on tokens; give 'tokens'"),
        (
            {"model": "resnet-50", "sequence": None, "economics": {"tokens": "2T"}},
            "economics.tokens: resnet-50 has no tokens; give 'samples'",
        ),
    ],
)
def test_what_cannot_be_priced_or_counted_is_refused_with_its_field(fields, message):
    with pytest.raises(InputError, match=message):
        workload(job(**fields), cluster(nodes=1, node=H100))


@pytest.mark.parametrize(
    ("economics", "message"),
    [
        ({"tokens": "2T", "samples": 4}, "give either 'tokens' or 'samples'"),
        ({"price": "2 USD/h", "provider": "AWS"}, "leave one out"),
        ({"tokens": "2 TB"}, "'2 TB' is a size, a number of tokens is due"),
        ({"pue": 0.9}, "greater than or equal to 1"),
    ],
)
def test_a_scenario_that_contradicts_itself_is_refused(economics, message):
    with pytest.raises(ValueError, match=message):
        job(economics=economics)
