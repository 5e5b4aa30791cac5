"""Growing queues, start-up, work of steps, money and energy, and statistics of a service."""

from __future__ import annotations

import numpy as np
import pytest
from test_inference_service import cluster, run, service

from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference import InferenceWorkload
from clustersim.workloads.serving.overload import QueueGrowth
from clustersim.workloads.serving.warm_up import suggested_warmup_s, truncation

STEADY = {"arrivals": {"kind": "fixed", "rate": "2 req/s"}, "lengths": {"prompt": 512, "output": 40}}


def test_a_queue_that_grows_reaches_a_waiting_time_when_it_says():
    growth = QueueGrowth(arrived=300, answered=200, span_s=100.0)
    assert growth.unbounded
    assert growth.per_s == 1.0
    # μ = 2/s: a request that arrives after t finds t others and waits t/2.
    assert growth.reaches_s(5.0) == pytest.approx(10.0)
    assert "grows by 1 requests/s and waiting by 30 s a minute" in growth.note(None)
    assert "10 s after the opening it is beyond the TTFT objective" in growth.note(5.0)
    assert not QueueGrowth(arrived=300, answered=290, span_s=100.0).unbounded


def test_the_time_to_overload_is_when_requests_begin_to_miss_the_objective():
    overloaded, _ = run(
        service(
            replicas=1,
            arrivals={"kind": "fixed", "rate": "60 req/s"},
            lengths={"prompt": 512, "output": 100},
            scheduler={"max_batch": 32},
            requests=2500,
            slo={"ttft": "10 s"},
        )
    )
    assert overloaded.metrics["overloaded"] == 1.0
    table = overloaded.tables["requests"]
    late_s = table["arrival_s"][table["ttft_s"] > 10.0].min()
    assert overloaded.metrics["overload_after_s"] == pytest.approx(late_s, rel=0.15)
    light, _ = run(service(**STEADY, requests=200))
    assert light.metrics["overloaded"] == 0.0
    assert abs(light.metrics["queue_growth_per_s"]) < 0.2
    assert "overload_after_s" not in light.metrics


def test_the_start_is_cut_where_it_differs_and_only_there():
    rng = np.random.default_rng(3)
    steady = 1.0 + 0.1 * rng.standard_normal(2000)
    assert truncation(steady) < 200
    assert suggested_warmup_s(np.arange(2000.0), steady, start_s=0.0) is None
    slow_start = steady + np.where(np.arange(2000) < 300, 3.0, 0.0)
    assert truncation(slow_start) == pytest.approx(300, abs=25)
    assert suggested_warmup_s(np.arange(2000.0), slow_start, start_s=10.0) == pytest.approx(290, abs=25)
    assert truncation(np.linspace(0, 1, 2000) ** 2) is None
    assert truncation(steady[:100]) is None


def test_a_start_up_is_noted_with_the_warm_up_that_cuts_it():
    burst = {"kind": "piecewise", "steps": [{"at": "0 s", "factor": 25.0}, {"at": "6 s", "factor": 1.0}]}
    arrivals = {"kind": "fixed", "rate": "1 req/s", "profile": burst}
    outcome, _ = run(
        service(arrivals=arrivals, lengths={"prompt": 512, "output": 60}, requests=600, replicas=1)
    )
    note = next(note for note in outcome.notes if "MSER-5" in note)
    warmup_s = float(note.split("'warmup: ")[1].split(" s'")[0])
    assert 5.0 < warmup_s < 40.0


def test_percentiles_of_too_few_requests_are_left_out_and_that_is_said():
    few, _ = run(service(**STEADY, requests=50))
    assert "ttft_s.p99.9" not in few.metrics
    assert any("p99.9 of latencies is not given: it takes 1,000" in note for note in few.notes)
    many, _ = run(service(**STEADY, requests=1000))
    assert many.metrics["ttft_s.p99.9"] >= many.metrics["ttft_s.p99"]
    assert not any("not given" in note for note in many.notes)


def test_statistics_stand_in_a_table_with_limits_around_them():
    outcome, _ = run(service(requests=400))
    table = outcome.tables["statistics"]
    rows = {
        (metric, name): place
        for place, (metric, name) in enumerate(zip(table["metric"], table["statistic"], strict=True))
    }
    for (metric, name), place in rows.items():
        assert table["value"][place] == outcome.metrics[f"{metric}.{name}"]
    place = rows["ttft_s", "mean"]
    assert table["low"][place] < table["value"][place] < table["high"][place]
    assert table["samples"][place] == 400
    assert table["samples"][rows["itl_s", "mean"]] == outcome.tables["requests"]["output_tokens"].sum() - 400


def test_times_between_tokens_add_up_to_the_time_of_decoding():
    outcome, _ = run(service(requests=100))
    table, rows = outcome.tables["requests"], outcome.tables["statistics"]
    gaps = int(rows["samples"][rows["metric"] == "itl_s"][0])
    decoding_s = (table["finish_s"] - table["first_token_s"]).sum()
    assert outcome.metrics["itl_s.mean"] * gaps == pytest.approx(decoding_s, rel=1e-9)
    distribution = outcome.tables["inter_token"]
    assert distribution["share"][-1] == 1.0
    assert np.all(np.diff(distribution["share"]) >= 0)


@pytest.mark.parametrize("policy", ["vllm", "vllm-v1", "sarathi"])
def test_they_add_up_with_several_batches_in_flight_between_which_requests_move(policy):
    values = {
        "kind": "inference",
        "name": "chat",
        "model": "llama-2-7b",
        "parallelism": {"pipeline": 2},
        "scheduler": {"policy": policy},
        "arrivals": {"kind": "poisson", "rate": "12 req/s"},
        "lengths": {"table": "azure-conversation-2023"},
        "requests": 60,
    }
    spec, topology = InferenceSpec.model_validate(values), cluster()
    outcome, _ = run(InferenceWorkload(spec, topology=topology, gpus=topology.gpus[:2]))
    table, rows = outcome.tables["requests"], outcome.tables["statistics"]
    gaps = int(rows["samples"][rows["metric"] == "itl_s"][0])
    assert gaps == table["output_tokens"].sum() - 60
    decoding_s = (table["finish_s"] - table["first_token_s"]).sum()
    assert outcome.metrics["itl_s.mean"] * gaps == pytest.approx(decoding_s, rel=1e-9)
    shares = sum(column for name, column in table.items() if name.endswith("_share"))
    np.testing.assert_allclose(shares, 1.0, atol=1e-9)


def test_flops_are_two_per_weight_and_token_and_use_is_between_nothing_and_all():
    outcome, _ = run(service(**STEADY, requests=60, replicas=1))
    steps, table = outcome.tables["steps"], outcome.tables["requests"]
    seconds = steps["end_s"] - steps["start_s"]
    flops = (steps["mfu"] * seconds).sum() * 312e12
    tokens = table["prompt_tokens"].sum() + table["output_tokens"].sum() - 60
    layers = 2 * 32 * (4 * 4096**2 + 3 * 4096 * 11008) * tokens
    pairs = 60 * (512 * 513 / 2 + sum(range(513, 513 + 39)))
    head = 2 * 4096 * 32000 * table["output_tokens"].sum()
    assert flops == pytest.approx(layers + head + 4 * 32 * 4096 * pairs, rel=0.03)
    assert np.all((steps["mfu"] > 0) & (steps["mfu"] < 1) & (steps["mbu"] > 0) & (steps["mbu"] <= 1))
    assert 0 < outcome.metrics["mfu"] < steps["mfu"].max()


def test_money_and_energy_follow_from_gpus_price_and_throughput():
    economics = {"price": "2 USD/h", "pue": 1.0, "host_power": "100 W"}
    outcome, _ = run(service(**STEADY, requests=100, economics=economics))
    metrics = outcome.metrics
    assert metrics["price_usd_per_h"] == pytest.approx(4.0)
    per_s = 4.0 / 3600
    output, tokens = metrics["output_tokens_per_s"], metrics["input_tokens_per_s"]
    assert metrics["usd_per_million_output_tokens"] == pytest.approx(1e6 * per_s / output)
    assert metrics["usd_per_million_tokens"] == pytest.approx(1e6 * per_s / (output + tokens))
    assert metrics["joules_per_output_token"] == pytest.approx(metrics["power_w"] / output)
    busy = metrics["utilization"]
    waiting = 0.5
    assert metrics["power_w"] == pytest.approx(2 * (400 * (busy + waiting * (1 - busy)) + 100), rel=0.02)
    assert "USD/h per GPU (scenario)" in outcome.facts["price"]


def test_goodput_counts_the_requests_that_keep_every_objective():
    outcome, _ = run(service(requests=200, slo={"ttft": "80 ms", "tpot": "30 ms"}))
    table, metrics = outcome.tables["requests"], outcome.metrics
    kept = (table["ttft_s"] <= 0.08) & ~(table["tpot_s"] > 0.03)
    assert 0 < kept.sum() < 200
    assert metrics["goodput_per_s"] == pytest.approx(metrics["requests_per_s"] * kept.mean())
    free, _ = run(service(requests=20))
    assert "goodput_per_s" not in free.metrics
