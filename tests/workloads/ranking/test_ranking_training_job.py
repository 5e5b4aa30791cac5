"""A whole job: bytes, memory, refusals, hosts, samples, and why a step takes what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from ranking_jobs import cluster, job, run, workload

from clustersim.errors import CannotRunError, InputError
from clustersim.results.attribution import by_class
from clustersim.spec.ranking.training import RankingTrainingSpec
from clustersim.workloads.ranking.training.ledger import CATEGORIES


def mean_s(made):
    return made.outcome().metrics["iteration_s.mean"]


def test_bytes_on_the_links_are_those_of_the_plan():
    steps = 4
    made, world = run(job(steps=steps, framework="hugectr", sharding={"plan": "table-wise"}))
    work = made.job.work
    # One step more fills the pipeline, and indices of the batch after the last go ahead, as in a longer run.
    per_pair = (steps + 2) * work.index_bytes + (steps + 1) * (work.forward_bytes[0] + work.backward_bytes[0])
    carried = np.zeros((2, 8))
    for route_set, moved in world.fabric.moved_bytes():
        if route_set.purpose != "all-to-all-v":
            continue
        for link, weight in zip(route_set.links, route_set.weights, strict=True):
            source, _, target = world.topology.link_names[link].partition(">")
            for row, vertex in enumerate((source, target)):
                if "/gpu" in vertex:
                    carried[row, made.gpus.index(vertex)] += weight * moved
    np.testing.assert_allclose(carried[0], per_pair.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(carried[1], per_pair.sum(axis=0), rtol=1e-9)


def test_parts_of_a_step_add_up_to_it_and_shares_to_one():
    made, _ = run(job(host={"jitter": 0.2, "spread": 0.05}, kernel_jitter=0.05, steps=6))
    outcome = made.outcome()
    table = outcome.tables["iterations"]
    total_s = np.sum([table[name] for name in CATEGORIES], axis=0)
    np.testing.assert_allclose(total_s, table["duration_s"], rtol=1e-9)
    assert sum(outcome.attribution.values()) == pytest.approx(1.0, abs=1e-9)
    assert outcome.metrics["samples_per_s"] == pytest.approx(8 * 2048 / mean_s(made))


def test_a_plan_with_all_dear_tables_on_few_ranks_makes_everybody_wait():
    planned, _ = run(job(framework="hugectr"))
    skewed, _ = run(job(framework="hugectr", sharding={"plan": "table-wise"}))
    assert mean_s(skewed) > 1.1 * mean_s(planned)
    key = "embedding_imbalance"
    assert skewed.outcome().metrics[key] > 1.5 * planned.outcome().metrics[key]
    assert skewed.outcome().metrics["waiting_s"] > 2.0 * planned.outcome().metrics["waiting_s"]


def test_waits_for_the_slowest_shard_stand_in_the_trace_and_name_its_rank():
    made, world = run(job(framework="hugectr", sharding={"plan": "table-wise"}))
    slowest = int(made.job.work.lookup.seconds.argmax())
    waits = [row for row in world.trace.rows if row.label == f"wait for rank {slowest}"]
    assert {row.kind for row in waits} == {"queue"}
    assert {row.lane for row in waits} == {f"dlrm/rank{rank}/compute" for rank in range(8) if rank != slowest}


def test_eager_launches_bound_a_step_of_few_samples_and_graphs_free_it():
    usual = {"batch": 64, "framework": "torchrec", "steps": 6}
    eager, _ = run(job(**usual))
    metrics = eager.outcome().metrics
    assert metrics["host_bound_share"] > 0.7
    assert by_class(eager.outcome().attribution)["host"] > 0.7
    kernels_s = metrics["embedding_s"] + metrics["dense_s"] + metrics["optimizer_s"]
    assert kernels_s < 0.3 * metrics["iteration_s.mean"]
    graphs, _ = run(job(**usual, host={"cuda_graphs": True, "fused": True}))
    assert mean_s(graphs) < 0.9 * mean_s(eager)


def test_slow_storage_sets_the_pace_of_steps():
    sample_bytes, bandwidth = 1000.0, 1e8
    reading = {"sample": "1 kB", "node_bandwidth": "0.1 GB/s"}
    made, _ = run(job(batch=512, input=reading, steps=12))
    expected_s = 8 * 512 * sample_bytes / bandwidth
    table = made.outcome().tables["iterations"]
    assert table["duration_s"][-1] == pytest.approx(expected_s, rel=1e-3)
    assert table["input_stall_s"][-1] > 0.5 * expected_s
    assert made.outcome().attribution["storage"] > 0.5


def test_processors_that_prepare_too_few_samples_set_the_pace():
    made, _ = run(job(batch=512, input={"preprocess_rate": "20000/s"}, steps=12))
    assert made.outcome().tables["iterations"]["duration_s"][-1] == pytest.approx(8 * 512 / 20000, rel=1e-3)


def test_samples_cross_the_link_to_each_gpu_or_are_there():
    there, world = run(job(batch=512, input={"copy_to_gpu": False}))
    assert not any(row.lane.endswith("/copy") for row in world.trace.rows)
    copied, world = run(job(batch=512))
    assert any(row.lane.endswith("/copy") for row in world.trace.rows)
    assert mean_s(copied) >= mean_s(there)


def test_rows_in_host_memory_cross_the_link_and_hold_the_step_up():
    in_gpu, _ = run(job(batch=512, sharding={"plan": "table-wise"}))
    in_host, _ = run(job(batch=512, sharding={"plan": "table-wise", "place": "uvm"}))
    metrics = in_host.outcome().metrics
    assert metrics["exposed_host_rows_s"] > 0.0
    assert mean_s(in_host) > mean_s(in_gpu)
    assert sum(in_host.outcome().attribution.values()) == pytest.approx(1.0, abs=1e-9)


def test_a_slow_gpu_and_a_slow_host_each_slow_everybody():
    usual, _ = run(job(framework="hugectr"))
    slow_gpu, _ = run(job(framework="hugectr", stragglers=[{"gpu": 2, "slowdown": 1.5}]))
    assert mean_s(slow_gpu) > 1.3 * mean_s(usual)
    assert set(slow_gpu.outcome().tables["iterations"]["slowest_rank"]) == {2}


def test_a_job_that_does_not_fit_is_refused_with_its_memory_and_what_would_fit():
    with pytest.raises(CannotRunError) as refused:
        workload(job(batch=2**20), cluster())
    message = str(refused.value)
    assert "activations" in message
    assert "it fits with 'batch: " in message
    batch = int(message.rpartition("'batch: ")[2].partition("'")[0])
    workload(job(batch=batch), cluster())
    with pytest.raises(CannotRunError):
        workload(job(batch=2 * batch), cluster())


def test_names_that_do_not_exist_and_batches_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match=r"model: unknown ranking model.*dlrm-dcnv2-mlperf"):
        workload(job(model="dlrm-dcnv2-mlpref"), cluster())
    with pytest.raises(InputError, match=r"economics.tokens: .* has no tokens; give 'samples'"):
        workload(job(economics={"tokens": "1T"}), cluster())
    with pytest.raises(CannotRunError, match="it fits with 'global_batch: "):
        workload(job(global_batch=2**23), cluster())
    with pytest.raises(InputError, match="torchrec"):
        workload(job(framework="torchrek"), cluster())
    with pytest.raises(InputError, match="do not divide over 8 GPUs"):
        workload(job(global_batch=1001), cluster())


def test_memory_of_uses_adds_up_and_is_given_back():
    made, world = run(job())
    table = made.outcome().tables["memory"]
    fullest = max(table["bytes"][table["rank"] == rank].sum() for rank in range(8))
    assert made.outcome().metrics["memory_bytes"] == pytest.approx(fullest)
    gpu = world.gpus[made.gpus[0]]
    assert gpu.memory.free_bytes == world.topology.memory_bytes(made.gpus[0])


def test_a_duration_ends_the_job_with_the_step_that_is_under_way():
    by_steps, _ = run(job(steps=8))
    step_s = mean_s(by_steps)
    timed, world = run(job(duration=f"{5 * step_s * 1e6:.3f} us"))
    assert 4 <= len(timed.outcome().tables["iterations"]["start_s"]) <= 8
    assert timed.progress() == 1.0
    assert world.env.now >= 5 * step_s


@pytest.mark.parametrize("resource", ["compute", "memory_bandwidth", "network_bandwidth", "host"])
def test_reruns_with_a_faster_resource_agree_with_its_share(resource):
    fields = {"framework": "hugectr", "steps": 8}
    usual, _ = run(job(**fields), cluster())
    share = by_class(usual.outcome().attribution).get(resource, 0.0)
    rates = []
    for factor in (0.98, 1.02):
        made, _ = run(job(**fields), cluster(speeds={resource: factor}))
        rates.append(made.outcome().metrics["samples_per_s"])
    elasticity = np.log(rates[1] / rates[0]) / np.log(1.02 / 0.98)
    assert elasticity == pytest.approx(share, abs=0.03)


def test_needs_count_flops_bytes_and_messages_of_a_sample():
    made, _ = run(job())
    metrics = made.outcome().metrics
    model = made.job.model
    assert metrics["work.flops_per_unit"] == pytest.approx(3.0 * model.flops_per_sample, rel=0.05)
    sent = sum(np.sum(each) for each in (made.job.work.index_bytes, *made.job.work.forward_bytes))
    assert metrics["work.network_bytes_per_unit"] > sent / made.job.samples
    assert metrics["work.units_per_s"] == pytest.approx(metrics["samples_per_s"])


def test_tables_that_the_framework_puts_into_host_memory_stand_in_a_note():
    alone, roomy = cluster(node="dgx-h100"), cluster()
    (note,) = workload(job(gpus=1), alone).outcome().notes
    assert note.startswith("2 tables, 38.1 GiB of rows, lie in host memory, behind a cache in GPU memory")
    assert note.endswith("goes there in torchrec; 'sharding.spill: false' refuses it")
    (said,) = workload(job(gpus=1, sharding={"spill": True}), alone).outcome().notes
    assert "torchrec" not in said
    (placed,) = workload(job(sharding={"place": "uvm"}), roomy).outcome().notes
    assert placed.startswith("26 tables, 97.4 GiB of rows, lie in host memory, read by the GPU row by row")
    assert workload(job(), roomy).outcome().notes == ()
    with pytest.raises(CannotRunError, match="no room for"):
        workload(job(gpus=1, sharding={"spill": False}), alone)


@pytest.mark.parametrize("framework", ["torchrec", "hugectr", "tf2-sok"])
def test_a_job_with_its_defaults_written_out_has_the_plan_of_the_job_without(framework):
    short = job(framework=framework)
    full = RankingTrainingSpec.model_validate(short.model_dump(mode="json"))
    assert full == short
    topology = cluster()
    ranks = [workload(each, topology).job.plan.shards.rank for each in (short, full)]
    np.testing.assert_array_equal(*ranks)


@pytest.mark.parametrize("field", ["node_bandwidth", "storage_bandwidth", "preprocess_rate"])
def test_samples_do_not_come_at_no_rate(field):
    unit = "1/s" if field == "preprocess_rate" else "GB/s"
    with pytest.raises(ValidationError, match="is positive, got '0"):
        job(input={field: f"0 {unit}"})


def test_a_rank_alone_waits_for_nobody():
    for seed in range(3):
        made, _ = run(job(gpus=1, batch=64 + seed, model="wide-and-deep", steps=5, start="1000 s"))
        assert str(made.outcome().metrics["waiting_s"]) == "0.0"
        assert not np.signbit(made.outcome().tables["iterations"]["waiting_s"]).any()
