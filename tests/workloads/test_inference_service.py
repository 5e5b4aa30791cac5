"""An inference service in a world with GPUs and a network."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.inference import InferenceSpec
from clustersim.topology import build
from clustersim.workloads.inference import InferenceWorkload


@cache
def cluster(bandwidth="100 Gbit/s", nodes=2, node="a100-40gb-x4"):
    spec = {"topology": {"kind": "star", "nodes": nodes, "node": node}, "fabric": {"bandwidth": bandwidth}}
    return build(ClusterSpec.model_validate(spec), base=None, seed=0)


def service(*, topology=None, **fields):
    """Llama-2-7B on two replicas of one GPU each, with anything changed."""
    values = {
        "kind": "inference",
        "name": "chat",
        "model": "llama-2-7b",
        "replicas": 2,
        "arrivals": {"kind": "poisson", "rate": "4 req/s"},
        "lengths": {"table": "azure-conversation-2023"},
        "requests": 60,
    } | fields
    spec = InferenceSpec.model_validate({name: value for name, value in values.items() if value is not None})
    topology = topology or cluster()
    return InferenceWorkload(
        spec, topology=topology, gpus=topology.gpus[: spec.replicas * spec.parallelism.tensor]
    )


def run(workload, *, topology=None, seed=1, until_s=None, prepare=None):
    world = World(topology or cluster(), seed=seed)
    process = workload.start(world)
    if prepare is not None:
        prepare(world)
    if until_s is None:
        world.env.run(until=process)
    else:
        world.env.run(until=until_s)
    return workload.outcome(), world


def across_nodes(**fields):
    """One replica of 8 GPUs over two nodes."""
    return service(replicas=1, parallelism={"tensor": 8}, model="llama-2-13b", **fields)


def test_every_request_is_answered_and_the_memory_comes_back():
    outcome, world = run(service())
    table = outcome.tables["requests"]
    assert outcome.complete
    assert outcome.metrics["requests_finished"] == outcome.metrics["requests_sent"] == 60
    assert outcome.metrics["requests_unfinished"] == 0
    assert np.all(table["admitted_s"] >= table["arrival_s"])
    assert np.all(table["first_token_s"] > table["admitted_s"])
    assert np.all(table["finish_s"] >= table["first_token_s"])
    world.env.run()
    assert all(gpu.memory.free_bytes == pytest.approx(gpu.memory.capacity) for gpu in world.gpus.values())


def test_metrics_are_those_of_the_table():
    outcome, _ = run(service(slo={"ttft": "200 ms", "e2e": "4 s"}, warmup="3 s"))
    table, metrics = outcome.tables["requests"], outcome.metrics
    counted = table["arrival_s"] >= 3.0
    assert 0 < counted.sum() < 60
    assert metrics["requests_sent"] == counted.sum()
    assert metrics["ttft_s.p99"] == pytest.approx(np.percentile(table["ttft_s"][counted], 99))
    assert metrics["tpot_s.mean"] == pytest.approx(np.nanmean(table["tpot_s"][counted]))
    kept = (table["ttft_s"] <= 0.2) & (table["e2e_s"] <= 4.0)
    assert metrics["slo_attainment"] == pytest.approx(kept[counted].mean())
    span_s = table["finish_s"][counted].max() - 3.0
    answered = table["finish_s"] > 3.0
    assert answered.sum() > counted.sum()
    assert metrics["output_tokens_per_s"] == pytest.approx(table["output_tokens"][answered].sum() / span_s)
    assert 0 < metrics["kv_occupancy.mean"] < metrics["kv_occupancy.max"] <= 1
    assert 0 < metrics["utilization"] <= 1


OVERLOAD = {
    "replicas": 1,
    "arrivals": {"kind": "fixed", "rate": "40 req/s"},
    "lengths": {"prompt": 512, "output": 100},
    "scheduler": {"max_batch": 16},
    "requests": 400,
}
"""More than twice what one replica serves."""


def test_under_overload_the_throughput_after_a_warm_up_is_that_of_the_engine():
    whole, _ = run(service(**OVERLOAD))
    warm, _ = run(service(**OVERLOAD, warmup="5 s"))
    assert warm.metrics["requests_sent"] == 200
    for name in ("requests_per_s", "input_tokens_per_s", "output_tokens_per_s", "batch.mean"):
        assert warm.metrics[name] == pytest.approx(whole.metrics[name], rel=0.06)


def test_the_means_of_the_engines_leave_out_the_warm_up():
    # A burst of sixteen at once, and one request alone after the warm-up.
    outcome, _ = run(
        service(
            replicas=1,
            arrivals={"kind": "closed-loop", "clients": 16, "think_time": "0 s"},
            lengths={"prompt": 64, "output": 50},
            requests=16,
            warmup="2 s",
        )
    )
    assert outcome.metrics["requests_sent"] == 0
    assert not any(name.startswith(("batch", "kv_occupancy", "utilization")) for name in outcome.metrics)
    counted, _ = run(service(replicas=1, arrivals={"kind": "fixed", "rate": "0.5 req/s"}, warmup="20 s"))
    rows = counted.tables["steps"]
    late = rows["start_s"] >= 20.0
    mean = (rows["steps"] * rows["batch"])[late].sum() / rows["steps"][late].sum()
    assert counted.metrics["batch.mean"] == pytest.approx(mean, rel=0.05)
    busy_s = (rows["end_s"] - rows["start_s"])[late].sum()
    assert counted.metrics["utilization"] == pytest.approx(busy_s / (rows["end_s"].max() - 20.0), rel=0.05)


def test_a_service_that_counts_nobody_says_why_and_gives_no_latency():
    rare = {"arrivals": {"kind": "poisson", "rate": "1 req/h"}, "requests": None, "duration": "1 s"}
    for fields, note in (
        (rare, "no request was sent: none arrived before the service closed"),
        ({"warmup": "10 min"}, "all 60 requests arrived during the warm-up; none is counted"),
    ):
        outcome, _ = run(service(**fields))
        assert outcome.complete
        assert note in outcome.notes
        assert outcome.metrics["requests_sent"] == 0
        assert all(np.isfinite(value) for value in outcome.metrics.values())
        assert not any(name.startswith(("ttft", "tpot", "e2e", "slo")) for name in outcome.metrics)


def test_single_token_answers_have_no_time_per_output_token_and_keep_any_objective_on_it():
    outcome, _ = run(service(lengths={"prompt": 100, "output": 1}, slo={"tpot": "1 us"}))
    assert not any(name.startswith("tpot") for name in outcome.metrics)
    assert np.all(np.isnan(outcome.tables["requests"]["tpot_s"]))
    assert outcome.metrics["slo_attainment"] == 1.0


def test_the_same_seed_gives_the_same_result_bit_for_bit():
    (first, _), (second, _) = run(across_nodes()), run(across_nodes())
    assert first.metrics == second.metrics
    assert first.attribution == second.attribution
    for name, table in first.tables.items():
        for column, values in table.items():
            np.testing.assert_array_equal(values, second.tables[name][column])


def test_another_seed_gives_other_arrivals():
    (first, _), (second, _) = run(service()), run(service(), seed=2)
    assert first.tables["requests"]["arrival_s"][0] != second.tables["requests"]["arrival_s"][0]


def test_a_faster_fabric_sees_the_same_requests_and_answers_sooner():
    slow, fast = (
        run(across_nodes(topology=topology), topology=topology)[0].tables["requests"]
        for topology in (cluster("100 Gbit/s"), cluster("400 Gbit/s"))
    )
    for column in ("arrival_s", "prompt_tokens", "output_tokens", "replica"):
        np.testing.assert_array_equal(slow[column], fast[column])
    assert fast["e2e_s"].mean() < 0.95 * slow["e2e_s"].mean()


@pytest.mark.parametrize("scheduler", [{}, {"policy": "sarathi", "max_batched_tokens": 256}])
def test_skipping_ahead_changes_no_answer_with_tensor_parallelism(scheduler):
    (skipping, world), (stepping, other) = (
        run(across_nodes(scheduler=scheduler, skip_ahead=skip)) for skip in (True, False)
    )
    assert len(skipping.tables["steps"]["steps"]) < len(stepping.tables["steps"]["steps"])
    for column in ("admitted_s", "first_token_s", "finish_s", "queueing_share", "network_bandwidth_share"):
        np.testing.assert_allclose(
            skipping.tables["requests"][column], stepping.tables["requests"][column], rtol=1e-9, atol=1e-9
        )
    now_s = max(world.env.now, other.env.now)
    np.testing.assert_allclose(world.fabric.usage(now_s).bytes, other.fabric.usage(now_s).bytes, rtol=1e-9)


def share_a_link(at_s):
    """Somebody else begins to use the links between the nodes at a time, without moving a byte."""

    def prepare(world):
        def begin(_):
            for source, target in zip(cluster().gpus[:4], cluster().gpus[4:], strict=True):
                for ends in ((source, target), (target, source)):
                    world.fabric.route_set(world.topology.route(*ends), owner="stranger")

        world.env.timeout(at_s).callbacks.append(begin)

    return prepare


def test_losing_the_links_for_oneself_in_mid_run_changes_no_answer_while_nobody_sends():
    alone, world = run(across_nodes())
    shared, other = run(across_nodes(), prepare=share_a_link(5.0))
    steps = shared.tables["steps"]
    assert np.all(steps["steps"][steps["start_s"] > 5.0] == 1)
    assert steps["steps"].max() > 1
    np.testing.assert_allclose(
        alone.tables["requests"]["finish_s"], shared.tables["requests"]["finish_s"], rtol=1e-9
    )
    now_s = max(world.env.now, other.env.now)
    np.testing.assert_allclose(world.fabric.usage(now_s).bytes, other.fabric.usage(now_s).bytes, rtol=1e-6)


def test_neighbours_on_the_links_make_answers_later():
    def prepare(world):
        route = world.topology.route(cluster().gpus[0], cluster().gpus[4])
        for _ in range(4):
            world.fabric.start(world.fabric.route_set(route, owner="stranger"), 1e15)

    alone, _ = run(across_nodes())
    beside, _ = run(across_nodes(), prepare=prepare)
    assert beside.metrics["tpot_s.mean"] > 1.05 * alone.metrics["tpot_s.mean"]


def test_a_run_that_is_stopped_counts_what_is_unfinished():
    outcome, _ = run(service(), until_s=4.0)
    table = outcome.tables["requests"]
    unfinished = np.isnan(table["finish_s"])
    assert not outcome.complete
    assert 0 < unfinished.sum() == outcome.metrics["requests_unfinished"]
    assert len(table["finish_s"]) == outcome.metrics["requests_sent"]
    assert any("not finished" in note for note in outcome.notes)
    assert all(np.isfinite(value) for value in outcome.metrics.values())


def test_the_outcome_can_be_asked_for_before_the_start_and_without_requests():
    workload = service(requests=None, duration="1 ms", arrivals={"kind": "poisson", "rate": "1 req/h"})
    assert workload.progress() == 0.0
    assert not workload.outcome().complete
    outcome, _ = run(workload)
    assert outcome.complete
    assert outcome.metrics["requests_sent"] == 0
    assert outcome.attribution == {}
    assert workload.progress() == 1.0


def test_more_load_than_is_served_is_noted_and_less_is_not():
    overloaded, _ = run(service(arrivals={"kind": "poisson", "rate": "60 req/s"}, requests=1500))
    assert any("the queue grows" in note for note in overloaded.notes)
    light, _ = run(service(arrivals={"kind": "poisson", "rate": "2 req/s"}, requests=200))
    assert not any("the queue grows" in note for note in light.notes)


def test_a_closed_loop_runs_through_the_service():
    outcome, _ = run(service(arrivals={"kind": "closed-loop", "clients": 3}, requests=30))
    table = outcome.tables["requests"]
    assert outcome.metrics["requests_finished"] == 30
    events = np.concatenate([table["arrival_s"], table["finish_s"]])
    change = np.concatenate([np.ones(30), -np.ones(30)])
    order = np.lexsort((change, events))
    assert np.cumsum(change[order]).max() == 3


def test_a_trace_is_served_with_its_own_times_and_lengths(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,prompt,output\n10,100,5\n12,200,6\n", encoding="utf-8")
    arrivals = {"kind": "trace", "path": str(path), "rate_scale": 2.0}
    workload = service(arrivals=arrivals, lengths=None, requests=None, start="3 s", replicas=1)
    outcome, _ = run(workload)
    table = outcome.tables["requests"]
    assert table["arrival_s"].tolist() == [3.0, 4.0]
    assert table["prompt_tokens"].tolist() == [100, 200]


def test_a_trace_needs_room_for_its_longest_request_and_not_for_its_longest_prompt_and_answer(tmp_path):
    (tmp_path / "trace.csv").write_text("arrived_at,prompt,output\n0,70000,1\n0,10,60000\n")
    spec = InferenceSpec.model_validate(
        {
            "kind": "inference",
            "name": "chat",
            "model": "llama-3.1-8b",
            "arrivals": {"kind": "trace", "path": "trace.csv"},
            "scheduler": {"memory_utilization": 0.85},
        }
    )
    served = InferenceWorkload(spec, topology=cluster(), gpus=cluster().gpus[:1], base=tmp_path)
    outcome, _ = run(served)
    assert outcome.facts["kv_tokens"] < 130_000
    assert outcome.metrics["requests_finished"] == 2


def test_a_broken_trace_is_refused_before_the_run(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,prompt,output\n10,100,5\n12,x,6\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"trace\.csv:3: prompt is 'x'"):
        service(arrivals={"kind": "trace", "path": str(path)}, lengths=None, requests=None)
    with pytest.raises(InputError, match=r"gone\.csv") as caught:
        service(arrivals={"kind": "trace", "path": "gone.csv"}, lengths=None, requests=None)
    assert caught.value.problems[0].path == ("arrivals", "path")


def test_a_model_that_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(CannotRunError, match=r"llama-2-70b does not fit.*weights take 128\.\d GiB") as caught:
        service(model="llama-2-70b")
    assert caught.value.exit_code == 3


def test_a_request_longer_than_the_kv_memory_is_refused():
    with pytest.raises(CannotRunError, match=r"longest request \(200000 \+ 10 tokens\)"):
        service(
            lengths={"prompt": 200_000, "output": 10},
            scheduler={"policy": "sarathi", "max_batched_tokens": 512},
        )


@pytest.mark.parametrize(
    ("fields", "error", "path", "message"),
    [
        (
            {"parallelism": {"tensor": 3}},
            CannotRunError,
            ("parallelism", "tensor"),
            "3 GPUs do not divide the 32",
        ),
        ({"model": "llama-2-8b"}, InputError, ("model",), "Did you mean"),
        ({"model": "resnet-50"}, InputError, ("model",), "does not generate tokens"),
        ({"model": "bert-large"}, InputError, ("model",), "does not generate tokens"),
        ({"lengths": {"table": "no-such-thing"}}, InputError, ("lengths", "table"), "no-such-thing"),
    ],
)
def test_what_cannot_be_served_is_refused_where_it_stands(fields, error, path, message):
    with pytest.raises(error, match=message) as caught:
        service(**fields)
    assert caught.value.problems[0].path == path


def test_every_metric_and_column_is_documented():
    from clustersim.workloads.inference.columns import METRICS, TABLES

    outcome, _ = run(service(slo={"ttft": "1 s"}))
    known = {info.name for info in METRICS}
    found = {name if name in known else name.partition(".")[0] for name in outcome.metrics}
    assert found <= known
    rare = {"overload_after_s", "cache_hit_rate", "requests_lost", "retries", "kv_transfer_s", "kv_exposed_s"}
    assert known - found == rare
    for name, table in outcome.tables.items():
        documented = [column.name for column in TABLES[name]]
        assert sorted(table) == sorted(
            column for column in documented if column != "tenant" or name != "requests"
        )
        assert len({len(column) for column in table.values()}) == 1


def test_a_request_costs_at_most_three_engine_activities_when_skipping_ahead(shared):
    path = str(shared("traces/AzureLLMInferenceTrace_conv_2023.csv.gz"))
    arrivals = {"kind": "trace", "path": path, "rate_scale": 0.3}
    outcome, _ = run(across_nodes(arrivals=arrivals, lengths=None, requests=None, duration="10 min"))
    steps = outcome.tables["steps"]["steps"]
    assert outcome.metrics["requests_finished"] > 500
    assert len(steps) <= 3 * outcome.metrics["requests_finished"]
    assert steps.sum() > 4 * len(steps)


def test_the_trace_is_a_chain_of_causes_with_shares_that_sum_to_each_duration():
    _, world = run(across_nodes(), prepare=share_a_link(5.0))
    rows = world.trace.rows
    assert {row.lane for row in rows} == {"chat.0/engine", "chat.0/comm", "chat/arrivals"}
    for row in rows:
        assert sum(row.shares.values()) == pytest.approx(row.end_s - row.start_s, rel=1e-9, abs=1e-12)
        if row.cause >= 0:
            assert rows[row.cause].end_s == pytest.approx(row.start_s)
        else:
            assert row.lane == "chat/arrivals"
