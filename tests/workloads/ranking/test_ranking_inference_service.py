"""A ranking service on a cluster: where time goes, memory, copies, tables in different places."""

import numpy as np
import pytest
from ranking_pools import ranking_scenario

import clustersim as cs
from clustersim import catalog
from clustersim.catalog.ranking_engines import KEY_ACCELERATOR
from clustersim.catalog.ranking_engines import SHELF as ENGINES
from clustersim.errors import CannotRunError, InputError
from clustersim.workloads.ranking.inference.cost.places import key_seconds

PLACES = {
    "local": {},
    "cached": {"embeddings": {"kind": "cached", "fraction": 0.05}},
    "remote": {"embeddings": {"kind": "remote", "servers": 2}, "nodes": 3},
    "sharded": {"gpus_per_replica": 4},
    "a copy on each GPU": {
        "gpus_per_replica": 2,
        "embeddings": {"kind": "local", "precision": "int8", "copies": "per-gpu"},
        "batching": {"split": 128},
    },
    "processor": {
        "dense_on": "cpu",
        "precision": "fp32",
        "embeddings": {"kind": "local", "precision": "fp32"},
    },
    "scattered": {"engine": "triton-hps"},
}


def outcome(**fields):
    return cs.run(ranking_scenario(**fields)).outcome("feed")


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES.keys())
def test_shares_of_every_query_and_of_all_sum_to_one(fields):
    found = outcome(**fields)
    table = found.tables["queries"]
    shares = sum(column for name, column in table.items() if name.endswith("_share"))
    np.testing.assert_allclose(shares, 1.0, rtol=1e-9)
    assert sum(found.attribution.values()) == pytest.approx(1.0, abs=1e-9)
    assert found.complete


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES.keys())
def test_waiting_in_the_queue_is_a_part_of_queueing(fields):
    arrivals = {"kind": "poisson", "rate": "40 kHz"}
    table = outcome(**fields, routing="least-outstanding", arrivals=arrivals).tables["queries"]
    waited_s = table["queueing_share"] * table["latency_s"]
    assert (waited_s >= -1e-12).all()
    assert (waited_s >= table["queue_s"] - 1e-12).all()


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES.keys())
def test_a_cluster_twice_as_fast_in_all_takes_half_the_time(fields):
    resources = ("compute", "memory_bandwidth", "network_bandwidth", "network_latency", "host")
    now = outcome(**fields).tables["queries"]["latency_s"]
    half = outcome(
        **fields, speeds=dict.fromkeys(resources, 2.0), arrivals={"kind": "poisson", "rate": "4000 qps"}
    ).tables["queries"]["latency_s"]
    np.testing.assert_allclose(half, now / 2.0, rtol=1e-9)


def test_percentiles_are_those_of_the_queries():
    found = outcome(warmup="20 ms", queries=1200)
    table = found.tables["queries"]
    latency_s = table["latency_s"][table["arrival_s"] >= 0.02]
    for name, level in {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}.items():
        assert found.metrics[f"latency_s.{name}"] == pytest.approx(np.percentile(latency_s, level), rel=1e-12)


def test_a_service_opens_later_and_leaves_its_warm_up_out():
    found = outcome(start="2 s", warmup="50 ms", queries=600)
    table = found.tables["queries"]
    assert table["arrival_s"].min() > 2.0
    counted = table["arrival_s"] >= 2.05
    assert table["counted"].tolist() == counted.tolist()
    assert found.metrics["queries_sent"] == counted.sum()
    now = outcome(queries=600).tables["queries"]["arrival_s"]
    np.testing.assert_allclose(table["arrival_s"] - 2.0, now, rtol=1e-9)


def test_a_run_that_stops_early_tells_what_is_not_answered():
    scenario = ranking_scenario(queries=4000, arrivals={"kind": "fixed", "rate": "200 kHz"})
    found = cs.run(scenario.with_(**{"run.until": "5 ms"})).outcome("feed")
    sent, finished, unfinished = (
        found.metrics[f"queries_{what}"] for what in ("sent", "finished", "unfinished")
    )
    assert not found.complete
    assert unfinished > 0
    assert sent == finished + unfinished
    assert any("not answered when the run stopped" in note for note in found.notes)
    shares = sum(column for name, column in found.tables["queries"].items() if name.endswith("_share"))
    assert np.isnan(shares).sum() == unfinished


def test_variants_see_the_same_queries():
    one = outcome().tables["queries"]
    other = outcome(replicas=3, precision="fp32", routing="power-of-two").tables["queries"]
    assert one["arrival_s"].tolist() == other["arrival_s"].tolist()
    assert one["candidates"].tolist() == other["candidates"].tolist()


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    first, again, other = (outcome(engine="triton-hps", seed=seed) for seed in (3, 3, 4))
    assert first.metrics == again.metrics
    assert first.metrics["latency_s.mean"] != other.metrics["latency_s.mean"]


def test_objectives_count_what_is_in_time():
    found = outcome(slo={"latency": "250 us"})
    latency_s = found.tables["queries"]["latency_s"]
    kept = (latency_s <= 250e-6).mean()
    assert 0.0 < kept < 1.0
    assert found.metrics["slo_attainment"] == pytest.approx(kept)
    assert found.metrics["goodput_per_s"] == pytest.approx(kept * found.metrics["queries_per_s"])


def test_a_service_that_cannot_keep_up_says_so():
    found = outcome(arrivals={"kind": "fixed", "rate": "200 kHz"}, queries=4000)
    assert found.metrics["overloaded"] == 1.0
    assert any("the queue grows" in note for note in found.notes)


def test_tables_that_do_not_fit_are_refused_with_what_to_do():
    with pytest.raises(CannotRunError, match="embeddings of kind 'cached'"):
        outcome(model="dlrm-nvidia-22b", embeddings={"kind": "local", "precision": "fp32"})


def test_sharding_divides_the_tables_and_a_cache_keeps_a_part_of_them():
    whole = outcome().facts["table_bytes_per_gpu"]
    rows = {"kind": "local", "precision": "fp16", "sharding": {"plan": "row-wise"}}
    divided = outcome(gpus_per_replica=4, embeddings=rows)
    assert divided.facts["table_bytes_per_gpu"] == pytest.approx(whole / 4.0, rel=1e-4)
    part = outcome(embeddings={"kind": "cached", "precision": "fp16", "fraction": 0.25})
    assert part.facts["table_bytes_per_gpu"] == pytest.approx(whole / 4.0, rel=1e-4)


def test_a_larger_cache_hits_more_often_and_is_faster():
    found = [
        outcome(
            embeddings={"kind": "cached", "fraction": fraction},
            user_features="per-candidate",
            candidates={"kind": "fixed", "samples": 4096},
        )
        for fraction in (0.01, 0.1, 1.0)
    ]
    hits = [each.metrics["hit_rate"] for each in found]
    assert hits == sorted(hits)
    assert hits[-1] == pytest.approx(1.0)
    means = [each.metrics["latency_s.mean"] for each in found]
    assert means == sorted(means, reverse=True)


def test_remote_embeddings_wait_for_the_slowest_server():
    """With all tables on one server its link and memory are asked for everything; two share it."""
    heavy = {"candidates": {"kind": "fixed", "samples": 2000}, "nodes": 3}
    one = outcome(embeddings={"kind": "remote", "servers": 1}, **heavy)
    two = outcome(embeddings={"kind": "remote", "servers": 2}, **heavy)
    assert two.metrics["latency_s.p50"] < one.metrics["latency_s.p50"]
    assert one.metrics["work.network_bytes_per_unit"] == pytest.approx(
        two.metrics["work.network_bytes_per_unit"]
    )
    assert one.metrics["work.messages_per_unit"] < two.metrics["work.messages_per_unit"]


def test_remote_bytes_are_those_on_the_wire():
    """26 tables of 128 elements, 26 indices of 4 bytes: all of it crosses the server's adapter."""
    result = cs.run(
        ranking_scenario(nodes=2, embeddings={"kind": "remote", "servers": 1, "precision": "fp32"})
    )
    table = result.outcome("feed").tables["queries"]
    links = result.links().set_index("link")
    answers = links.loc[
        [name for name in links.index if "node1/nic" in name.split(">")[0]], "carried_bytes"
    ].max()
    assert answers == pytest.approx(table["candidates"].sum() * 26 * 128 * 4, rel=1e-9)


def test_servers_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="3 servers, but the cluster has 2 nodes"):
        outcome(embeddings={"kind": "remote", "servers": 3}, nodes=2)
    with pytest.raises(InputError, match="there is no node 7"):
        outcome(embeddings={"kind": "remote", "nodes": [7]}, nodes=2)
    with pytest.raises(InputError, match="names a node twice"):
        outcome(embeddings={"kind": "remote", "nodes": [1, 1]}, nodes=2)


def test_an_unknown_processor_is_refused_though_nothing_runs_on_it():
    with pytest.raises(InputError, match="processor"):
        outcome(processor="xeon")


def test_as_many_servers_as_nodes_are_named():
    named = {"embeddings": {"kind": "remote", "nodes": [1, 2]}, "nodes": 3}
    counted = {"embeddings": {"kind": "remote", "servers": 2}, "nodes": 3}
    assert outcome(**named).metrics == outcome(**counted).metrics
    with pytest.raises(InputError, match="2 nodes for 3 servers"):
        outcome(nodes=3, embeddings={"kind": "remote", "nodes": [1, 2], "servers": 3})


def test_chips_without_hosts_cannot_serve():
    with pytest.raises(CannotRunError, match="prepared by hosts"):
        outcome(node="tpu-v4", precision="bf16")


def test_arithmetic_that_a_processor_does_not_have_is_refused():
    with pytest.raises(InputError, match="no arithmetic in 'fp16'"):
        outcome(dense_on="cpu", precision="fp16")


@pytest.mark.parametrize("field", ["model", "engine"])
def test_unknown_names_are_refused_with_the_nearest(field):
    known = {"model": "dlrm-nvidia-4bb", "engine": "tensorrtt"}[field]
    with pytest.raises(InputError, match="Did you mean"):
        outcome(**{field: known})


def test_inputs_that_lie_on_the_device_are_not_copied():
    large = {"candidates": {"kind": "fixed", "samples": 4096}}
    copied, there = outcome(**large), outcome(**large, inputs="device")
    assert there.metrics["latency_s.p50"] < copied.metrics["latency_s.p50"]


def test_a_background_job_on_the_links_of_remote_embeddings_slows_queries():
    job = {
        "name": "job",
        "kind": "training",
        "model": "gpt2-medium",
        "gpus": 16,
        "placement": {"nodes": [1, 2]},
        "precision": "bf16",
        "micro_batch": 1,
        "global_batch": 16,
        "sequence": 512,
        "parallelism": {"data": 16, "zero": 1},
        "steps": 3,
    }
    service = {
        "nodes": 3,
        "placement": {"nodes": [0]},
        "embeddings": {"kind": "remote", "servers": 1, "nodes": [1]},
        "queries": 600,
    }
    quiet = outcome(**service)
    busy = outcome(**service, extra=(job,))
    assert busy.metrics["latency_s.p99"] > quiet.metrics["latency_s.p99"]


def test_work_of_a_sample_is_that_of_the_model():
    found = outcome(candidates={"kind": "fixed", "samples": 512})
    model = cs.catalog.ranking_model("dlrm-nvidia-4b")
    pooled = model.pooled_elements
    flops = found.metrics["work.flops_per_unit"]
    assert model.flops_per_sample <= flops <= model.flops_per_sample + 2.0 * pooled
    assert found.facts["work.unit"] == "sample"


def test_features_of_the_user_are_looked_up_once_for_a_query(tmp_path):
    path = tmp_path / "two-tables.yaml"
    path.write_text(
        "ranking_model: two-tables\ndense_features: 4\nbottom_mlp: [16]\ntop_mlp: [16, 1]\n"
        "interaction: {kind: concatenation}\n"
        "tables:\n"
        "  - {name: user, rows: 1000000, dimension: 64, pooling: 50, per_candidate: false}\n"
        "  - {name: item, rows: 1000000, dimension: 64}\n"
    )
    fixed = {"candidates": {"kind": "fixed", "samples": 4096}, "model": str(path)}
    once, always = outcome(**fixed), outcome(**fixed, user_features="per-candidate")
    assert once.metrics["work.hbm_bytes_per_unit"] < 0.3 * always.metrics["work.hbm_bytes_per_unit"]


def test_events_per_query_are_few():
    """One for its arrival, one for its batch where a worker has its device and links to itself."""
    from clustersim.study.runner import run

    counted = {}
    for queries in (200, 1200):
        scenario = ranking_scenario(instances=1, queries=queries, node="dgx-h100")
        counted[queries] = _events(run, scenario)
    assert (counted[1200] - counted[200]) / 1000 <= 3.0


def _events(run, scenario):
    import simpy

    steps = 0
    original = simpy.Environment.step

    def step(self):
        nonlocal steps
        steps += 1
        original(self)

    simpy.Environment.step = step
    try:
        run(scenario)
    finally:
        simpy.Environment.step = original
    return steps


def test_a_key_takes_the_measured_time_where_it_was_measured_and_scales_with_memory():
    engine = ENGINES.get("triton-hps")
    known, faster = catalog.accelerator(KEY_ACCELERATOR), catalog.accelerator("h200-sxm-141gb")
    assert key_seconds(engine, known) == engine.key_s > 0.0
    slower = known.memory_bandwidth_bytes_per_s / faster.memory_bandwidth_bytes_per_s
    assert key_seconds(engine, faster) == pytest.approx(slower * engine.key_s)
