"""What a training job refuses, and what it says at any time."""

from __future__ import annotations

import pytest
from training_jobs import buckets, cluster, job, run, workload

from clustersim.engine.world import World
from clustersim.errors import CannotRunError, InputError
from clustersim.workloads.training.columns import METRICS, TABLES


def refusal(kind: type[InputError], **fields) -> InputError:
    with pytest.raises(kind) as caught:
        workload(job(**fields), cluster())
    return caught.value


def test_a_model_that_does_not_fit_is_refused_with_its_memory_by_use():
    error = refusal(CannotRunError, model="llama-2-7b", micro_batch=1, sequence=4096)
    assert error.exit_code == 3
    (problem,) = error.problems
    assert problem.path == ("micro_batch",)
    for word in ("weights", "gradients", "optimizer_states", "activations", "GiB", "a100-sxm4-40gb"):
        assert word in problem.message


def test_recomputation_makes_room():
    refusal(CannotRunError, micro_batch=192, sequence=512)
    workload(job(micro_batch=192, sequence=512, recompute="full"), cluster())


def test_a_global_batch_that_does_not_divide_is_refused_with_the_nearest():
    (problem,) = refusal(InputError, global_batch=100).problems
    assert problem.path == ("global_batch",)
    assert "64 or 128" in problem.message


def test_replicas_that_do_not_fill_the_gpus_are_refused():
    (problem,) = refusal(InputError, parallelism={"data": 4}).problems
    assert problem.path == ("parallelism", "data")


def test_an_unknown_model_is_refused_with_a_suggestion():
    (problem,) = refusal(InputError, model="bert-lareg").problems
    assert problem.path == ("model",)
    assert "bert-large" in problem.message


def test_a_precision_without_a_rate_is_refused():
    with pytest.raises(InputError) as caught:
        workload(job(precision="bf16"), cluster(node="dgx-1v"))
    assert caught.value.problems[0].path == ("precision",)


def test_a_sequence_beyond_the_positions_is_refused():
    (problem,) = refusal(InputError, sequence=1024).problems
    assert problem.path == ("sequence",)


def test_a_sequence_for_images_is_refused():
    (problem,) = refusal(InputError, model="resnet-50", sequence=224).problems
    assert problem.path == ("sequence",)


def test_the_sequence_defaults_to_the_models_own():
    assert workload(job(sequence=None), cluster()).job.cost.sequence == 512


def test_an_interrupted_job_reports_its_complete_iterations():
    topology = cluster()
    whole, _ = run(job(steps=4), topology)
    end_s = whole.outcome().tables["iterations"]["start_s"][2] * 1.0001
    world = World(topology)
    part = workload(job(steps=4), topology)
    part.start(world)
    world.env.run(until=end_s)
    outcome = part.outcome()
    assert not outcome.complete
    assert len(outcome.tables["iterations"]["start_s"]) == 2
    assert part.progress() == pytest.approx(0.5)
    assert sum(outcome.attribution.values()) == pytest.approx(1.0)


def test_a_job_that_never_ran_has_an_outcome():
    outcome = workload(job(), cluster()).outcome()
    assert not outcome.complete
    assert set(outcome.metrics) == {"memory_bytes"}
    assert outcome.attribution == {}


def test_a_duration_ends_the_job_after_the_step_that_it_cuts():
    topology = cluster()
    step_s = run(job(steps=1), topology)[0].outcome().metrics["iteration_s.mean"]
    training, world = run(job(duration=f"{2.5 * step_s:.6f} s", start="1 s"), topology)
    assert len(training.outcome().tables["iterations"]["start_s"]) == 3
    assert training.outcome().complete
    assert world.env.now == pytest.approx(1 + 3 * step_s)


def test_a_job_takes_its_gpus_and_memory_and_gives_them_back():
    topology = cluster()
    world = World(topology)
    training = workload(job(steps=2), topology)
    done = training.start(world)
    world.env.run(until=1e-3)
    gpu = world.gpus[topology.gpus[0]]
    assert gpu.count == 1
    taken_bytes = gpu.memory.capacity - gpu.memory.free_bytes
    assert taken_bytes == pytest.approx(training.job.memory_bytes, abs=1)
    world.env.run(until=done)
    assert gpu.count == 0
    assert gpu.memory.free_bytes == gpu.memory.capacity


def test_without_a_trace_results_are_the_same():
    topology = cluster()
    traced, _ = run(job(kernel_jitter=0.1), topology)
    world = World(topology, keep_trace=False)
    untraced = workload(job(kernel_jitter=0.1), topology)
    world.env.run(until=untraced.start(world))
    assert untraced.outcome().metrics == traced.outcome().metrics
    assert untraced.outcome().attribution == traced.outcome().attribution


def test_the_seed_decides_the_jitter():
    topology = cluster()
    spec = job(kernel_jitter=0.1)
    one, same, other = (run(spec, topology, seed=seed)[0].outcome().metrics for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_every_metric_and_column_is_documented():
    outcome = run(job(), cluster())[0].outcome()
    documented = {each.name for each in METRICS}
    named = {name if name in documented else name.partition(".")[0] for name in outcome.metrics}
    assert named <= documented
    assert all(name.startswith("run_") for name in documented - named)  # those of a run of some length
    for name, table in outcome.tables.items():
        assert list(table) == [column.name for column in TABLES[name]]


def test_few_events_per_bucket():
    topology = cluster()
    world = World(topology)
    training = workload(job(steps=10), topology)
    done = training.start(world)
    events = 0
    while not done.processed:
        world.env.step()
        events += 1
    assert events / (10 * len(buckets(training))) < 14
