"""Days of a training job: closed forms, exact limits, all time and all nodes accounted for."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import simpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clustersim.catalog.reliability import SHELF
from clustersim.errors import InputError
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.spec.reliability import CheckpointSpec, FailureSpec, ReliabilitySpec
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.topology import Topology, build, from_graph
from clustersim.workloads.training.job import describe_job
from clustersim.workloads.training.layout import Layout
from clustersim.workloads.training.reliability import Days, ReliabilityModel, simulate_days, simulation
from clustersim.workloads.training.reliability.account import USES
from clustersim.workloads.training.reliability.checkpoint import copy_bandwidth_bytes_per_s
from clustersim.workloads.training.reliability.closed_forms import (
    daly_goodput,
    daly_interval_s,
    first_order_goodput,
    young_interval_s,
)
from clustersim.workloads.training.reliability.describe import (
    DescribedReliability,
    describe_reliability,
    node_blocks,
)
from clustersim.workloads.training.reliability.failures import SOFTWARE, Failure, draw_failures
from clustersim.workloads.training.reliability.nodes import NodePool
from clustersim.workloads.training.reliability.stretch import Stretch

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


def model(**changes: object) -> ReliabilityModel:
    """A job of 12 nodes that a node failure stops every two hours, with nodes always at hand."""
    fields: dict[str, object] = {
        "iteration_s": 10.0,
        "blocks": (4, 4, 4),
        "spares": 1000,
        "stall_s": 30.0,
        "load_s": 20.0,
        "detection_s": 60.0,
        "restart_s": 120.0,
        "node_mtbf_s": 24 * HOUR_S,
        "repair_s": HOUR_S,
    }
    return ReliabilityModel(**{**fields, **changes})  # type: ignore[arg-type]


def days_with(
    monkeypatch: pytest.MonkeyPatch, job: ReliabilityModel, *failures: Failure, days_s: float = DAY_S
) -> Days:
    """A period with these failures."""
    monkeypatch.setattr(simulation, "draw_failures", lambda *args, **kwargs: list(failures))
    return simulate_days(job, days_s=days_s, seed=0)


# closed forms -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mtbf_min", "published_min"), [(24 * 60, 117), (6 * 60, 57), (15, 9.1)]
)  # Daly 2006, figures 3 to 5: dump time 5 min
def test_dalys_interval_is_that_of_his_examples(mtbf_min: float, published_min: float) -> None:
    found = daly_interval_s(5 * MINUTE_S, mtbf_min * MINUTE_S) / MINUTE_S
    assert found == pytest.approx(published_min, abs=0.5 if published_min > 10 else 0.05)


@given(stall_s=st.floats(1e-3, 100.0), mtbf_s=st.floats(1e3, 1e7))
def test_dalys_interval_has_the_most_goodput(stall_s: float, mtbf_s: float) -> None:
    best_s = daly_interval_s(stall_s, mtbf_s)

    def at(interval_s: float) -> float:
        return daly_goodput(interval_s, stall_s=stall_s, recovery_s=0.0, mtbf_s=mtbf_s)

    assert all(at(best_s) > at(best_s * factor) for factor in (0.8, 1.25))
    assert best_s == pytest.approx(young_interval_s(stall_s, mtbf_s), rel=0.25)


def test_the_first_order_form_is_dalys_where_failures_are_rare() -> None:
    known = {"stall_s": 1.0, "recovery_s": 60.0, "mtbf_s": 1e6}
    assert first_order_goodput(1000.0, **known) == pytest.approx(daly_goodput(1000.0, **known), rel=1e-5)


def test_a_job_that_cannot_finish_an_interval_has_no_goodput() -> None:
    assert daly_goodput(1e6, stall_s=1.0, recovery_s=1.0, mtbf_s=1.0) == 0.0
    assert daly_interval_s(10.0, 4.0) == 4.0


@pytest.mark.parametrize("interval_steps", [6, 40, 300])
@pytest.mark.parametrize("software_mtbf_s", [math.inf, 24 * HOUR_S])
def test_the_simulation_has_dalys_goodput_where_his_form_applies(
    interval_steps: int, software_mtbf_s: float
) -> None:
    job = model(interval_steps=interval_steps, software_mtbf_s=software_mtbf_s, repair_s=0.0)
    goodputs = [simulate_days(job, days_s=150 * DAY_S, seed=seed).goodput for seed in range(6)]
    mean = sum(goodputs) / len(goodputs)
    error = math.sqrt(sum((value - mean) ** 2 for value in goodputs) / 5 / 6)
    expected = daly_goodput(job.interval_s, stall_s=job.stall_s, recovery_s=job.recovery_s, mtbf_s=job.mtbf_s)
    assert abs(mean - expected) < 3.5 * error
    assert error < 0.006


# exact limits -------------------------------------------------------------------------


@pytest.mark.parametrize(("write_s", "cycle_s"), [(0.0, 430.0), (100.0, 430.0), (500.0, 530.0)])
def test_without_failures_only_checkpoints_cost_time(write_s: float, cycle_s: float) -> None:
    job = model(node_mtbf_s=math.inf, interval_steps=40, write_s=write_s)
    days = simulate_days(job, days_s=400.0 + 100 * cycle_s, seed=1)
    assert days.account.useful_s == 400.0 * 101
    assert days.account.checkpoint_s == days.days_s - days.account.useful_s
    assert not days.failures


def test_without_failures_and_without_an_interval_all_time_is_useful() -> None:
    assert simulate_days(model(node_mtbf_s=math.inf), days_s=DAY_S, seed=1).goodput == 1.0


@given(
    interval_s=st.floats(1.0, 500.0),
    stall_s=st.floats(0.0, 50.0),
    write_s=st.just(0.0) | st.floats(0.0, 900.0),
    elapsed_s=st.floats(0.0, 5000.0),
)
def test_a_stretch_is_a_walk_from_checkpoint_to_checkpoint(
    interval_s: float, stall_s: float, write_s: float, elapsed_s: float
) -> None:
    stretch = Stretch(interval_s, stall_s, write_s)
    ends = (elapsed_s - interval_s - stall_s - write_s) / stretch.cycle_s
    assume(abs(ends - round(ends)) > 1e-6)  # at the very end of a checkpoint rounding decides
    now_s = work_s = free_s = 0.0
    usable = [(0.0, 0.0)]
    while now_s + interval_s < elapsed_s:
        now_s, work_s = now_s + interval_s, work_s + interval_s
        now_s = max(now_s, free_s) + stall_s  # the copy before has to be written
        free_s = now_s + write_s
        usable.append((free_s, work_s))
    work_s += min(max(elapsed_s - now_s, 0.0), interval_s)
    assert stretch.work_s(elapsed_s) == pytest.approx(work_s, abs=1e-6)
    kept_s = max(work for at_s, work in usable if at_s <= elapsed_s)
    assert stretch.kept_s(elapsed_s) == pytest.approx(kept_s, abs=1e-6)


def walked(job: ReliabilityModel, failures: list[Failure], *, days_s: float) -> float:
    """Useful time of a job with nodes always at hand, checkpoint by checkpoint."""
    now_s = useful_s = 0.0
    times_s = [failure.at_s for failure in failures] + [math.inf]
    while now_s < days_s:
        fails_s = next(at_s for at_s in times_s if at_s > now_s)
        ends_s = now_s + job.interval_s + job.stall_s
        if ends_s <= min(fails_s, days_s):
            now_s, useful_s = ends_s, useful_s + job.interval_s
        elif fails_s >= days_s:
            return useful_s + min(days_s - now_s, job.interval_s)
        else:
            now_s = fails_s
            while True:  # recover, from the beginning where something fails meanwhile
                fails_s = next(at_s for at_s in times_s if at_s > now_s)
                if fails_s >= now_s + job.recovery_s:
                    break
                now_s = fails_s
            now_s += job.recovery_s
    return useful_s


@pytest.mark.parametrize("seed", range(5))
def test_the_simulation_is_a_walk_through_every_checkpoint(seed: int) -> None:
    job = model(interval_steps=20, software_mtbf_s=50 * HOUR_S)
    days = simulate_days(job, days_s=30 * DAY_S, seed=seed)
    slow_s = walked(job, draw_failures(job, days_s=days.days_s, seed=seed), days_s=days.days_s)
    assert days.account.useful_s == pytest.approx(slow_s, rel=1e-9)
    assert len(days.failures) > 100


# what happens after one failure --------------------------------------------------------


def test_a_spare_takes_the_place_of_a_failed_node(monkeypatch: pytest.MonkeyPatch) -> None:
    job = model(interval_steps=100, spares=1)
    account = days_with(monkeypatch, job, Failure(5000.0, 3, 10 * DAY_S)).account
    # 4 cycles of 1,030 s, 880 s of the fifth
    assert (account.lost_s, account.waiting_s) == (pytest.approx(880.0), 0.0)
    assert (account.detection_s, account.restart_s) == (60.0, pytest.approx(140.0))


def test_without_a_spare_the_job_waits_for_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    job = model(spares=0)
    account = days_with(monkeypatch, job, Failure(5000.0, 3, HOUR_S)).account
    assert account.waiting_s == pytest.approx(HOUR_S - job.detection_s)
    assert account.reduced_s == 0.0


def test_a_second_node_that_fails_during_the_wait_prolongs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    job = model(spares=0)
    both = (Failure(5000.0, 3, HOUR_S), Failure(6000.0, 7, HOUR_S))
    assert days_with(monkeypatch, job, *both).account.waiting_s == pytest.approx(1000 + HOUR_S - 60)


def test_software_that_fails_takes_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    days = days_with(monkeypatch, model(spares=0), Failure(5000.0, SOFTWARE, 0.0))
    assert (days.account.waiting_s, days.node_failures, days.restarts) == (0.0, 0, 1)


def test_a_failure_during_recovery_starts_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    days = days_with(monkeypatch, model(), Failure(5000.0, 3, 1.0), Failure(5100.0, 4, 1.0))
    assert days.account.detection_s == pytest.approx(120.0)
    assert days.account.restart_s == pytest.approx(40.0 + 140.0)


def test_a_shrunk_job_goes_on_with_the_other_replicas_and_grows_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = model(spares=0, without_spare="shrink", interval_steps=10**6)
    days = days_with(monkeypatch, job, Failure(5000.0, 3, HOUR_S))
    shrunk_s = HOUR_S - 60.0 - 140.0
    assert days.account.reduced_s == pytest.approx(shrunk_s / 3)
    assert days.account.lost_s == 5000.0  # there was no checkpoint yet
    assert days.account.checkpoint_s == pytest.approx(30.0)  # the one before growing
    assert (days.restarts, days.account.waiting_s) == (2, 0.0)


def test_what_is_kept_when_the_checkpoint_before_growing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    job = model(spares=0, without_spare="shrink", interval_steps=10**6)
    back_s = 5000.0 + HOUR_S
    days = days_with(monkeypatch, job, Failure(5000.0, 3, HOUR_S), Failure(back_s + 10, SOFTWARE, 0.0))
    assert days.account.lost_s == pytest.approx(5000.0 + (HOUR_S - 200.0) * 2 / 3)
    assert days.account.total_s == pytest.approx(DAY_S)


def test_a_job_whose_only_block_misses_a_node_waits_whatever_the_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = model(blocks=(12,), spares=0, without_spare="shrink")
    assert days_with(monkeypatch, job, Failure(5000.0, 3, HOUR_S)).account.waiting_s == pytest.approx(3540.0)


# all time and all nodes ----------------------------------------------------------------


@settings(max_examples=60)
@given(
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    spares=st.integers(0, 3),
    policy=st.sampled_from(["wait", "shrink"]),
    mtbf_h=st.floats(2.0, 500.0),
    shape=st.sampled_from([0.6, 1.0, 2.5]),
    software_h=st.sampled_from([10.0, math.inf]),
    repair_s=st.sampled_from([0.0, HOUR_S, DAY_S]),
    write_s=st.sampled_from([0.0, 40.0, 4000.0]),
    seed=st.integers(0, 1000),
)
def test_all_time_is_accounted_for(
    blocks: list[int],
    spares: int,
    policy: str,
    mtbf_h: float,
    shape: float,
    software_h: float,
    repair_s: float,
    write_s: float,
    seed: int,
) -> None:
    job = model(
        blocks=tuple(blocks), spares=spares, without_spare=policy, node_mtbf_s=mtbf_h * HOUR_S,
        weibull_shape=shape, software_mtbf_s=software_h * HOUR_S, repair_s=repair_s, write_s=write_s,
    )  # fmt: skip
    days = simulate_days(job, days_s=5 * DAY_S, seed=seed)
    assert days.account.total_s == pytest.approx(5 * DAY_S, rel=1e-9)
    assert all(getattr(days.account, use) >= -1e-9 for use in USES)
    assert [stay.start_s for stay in days.stays[1:]] == [stay.end_s for stay in days.stays[:-1]]
    for stay in days.stays:
        assert stay.account.total_s == pytest.approx(stay.end_s - stay.start_s, abs=1e-6)


@settings(max_examples=60)
@given(
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    spares=st.integers(0, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["fail", "fill", "shrink", "grow", "pass"]), st.integers(0, 15))
    ),
)
def test_no_node_is_lost_or_made(blocks: list[int], spares: int, steps: list[tuple[str, int]]) -> None:
    env = simpy.Environment()
    pool = NodePool(env, model(blocks=tuple(blocks), spares=spares), returned=lambda: None)
    for step, number in steps:
        if step == "fail":
            place = number % sum(blocks)
            if pool.holds(place):
                pool.fail(place, repair_s=10.0)
        elif step == "pass":
            env.run(until=env.now + 1 + number)
        else:
            getattr(pool, step)()
        assert pool.nodes == sum(blocks) + spares
        assert pool.spares >= 0
        assert 0.0 <= pool.rate <= 1.0


# failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.6, 1.0, 3.0])
def test_nodes_fail_at_their_rate_from_the_start_whatever_the_shape(shape: float) -> None:
    job = model(blocks=(20_000,), node_mtbf_s=100 * DAY_S, weibull_shape=shape)
    times_s = [failure.at_s for failure in draw_failures(job, days_s=30 * DAY_S, seed=3)]
    assert len(times_s) == pytest.approx(6000, abs=4 * math.sqrt(6000))
    assert sum(at_s < 10 * DAY_S for at_s in times_s) == pytest.approx(2000, abs=4 * math.sqrt(2000))


def test_failures_depend_on_nothing_that_the_job_does() -> None:
    drawn = [
        draw_failures(job, days_s=10 * DAY_S, seed=5)
        for job in (model(), model(spares=0, stall_s=1.0, interval_steps=7, without_spare="shrink"))
    ]
    assert drawn[0] == drawn[1] == sorted(drawn[0])
    assert draw_failures(model(), days_s=10 * DAY_S, seed=6) != drawn[0]


def test_failures_of_software_leave_those_of_nodes_alone() -> None:
    both = draw_failures(model(software_mtbf_s=HOUR_S), days_s=5 * DAY_S, seed=2)
    assert [each for each in both if each.node != SOFTWARE] == draw_failures(
        model(), days_s=5 * DAY_S, seed=2
    )


def test_more_spares_never_cost_goodput_where_the_job_waits() -> None:
    goodputs = [
        simulate_days(model(spares=spares, repair_s=6 * HOUR_S), days_s=30 * DAY_S, seed=4).goodput
        for spares in (0, 1, 2, 4, 16)
    ]
    assert goodputs == sorted(goodputs)
    assert goodputs[0] < 0.6 * goodputs[-1]


# published figures ---------------------------------------------------------------------


@pytest.mark.parametrize(("nodes", "hours", "error"), [(2048, 1.8, 0.01), (16384, 0.23, 0.03)])
def test_the_mean_time_to_failure_of_rsc_1_is_as_projected_in_the_paper(
    nodes: int, hours: float, error: float
) -> None:
    record = SHELF.get("meta-rsc-1")
    assert record.node_mtbf_s / nodes / HOUR_S == pytest.approx(hours, rel=error)


def test_llama_3_had_an_interruption_every_three_hours() -> None:
    record = SHELF.get("llama-3-16k")
    job = model(blocks=(2048,), node_mtbf_s=record.node_mtbf_s, software_mtbf_s=record.software_mtbf_s)
    assert 54 * DAY_S / job.mtbf_s == pytest.approx(419)


def test_llama_3_has_90_percent_of_its_time_to_within_a_percent() -> None:
    """Published: "higher than 90 %" (arXiv:2407.21783, section 3.3.4)."""
    record = SHELF.get("llama-3-16k")
    write_s = 405.853e9 * 14 / 2e12
    job = ReliabilityModel(
        iteration_s=6.2, blocks=(16,) * 128, spares=32, stall_s=write_s, load_s=write_s,
        detection_s=record.detection_s, restart_s=record.restart_s, repair_s=record.repair_s,
        node_mtbf_s=record.node_mtbf_s, software_mtbf_s=record.software_mtbf_s,
    )  # fmt: skip
    goodputs = [simulate_days(job, days_s=54 * DAY_S, seed=seed).goodput for seed in range(10)]
    assert sum(goodputs) / 10 == pytest.approx(0.90, abs=0.01)


# from the scenario ---------------------------------------------------------------------


def scenario(node: str = "dgx-h100", nodes: int = 4, **training: object) -> Scenario:
    fields = {"name": "job", "kind": "training", "model": "gpt2-xl", "gpus": 8 * nodes, "micro_batch": 1}
    topology = {"kind": "leaf-spine", "nodes": nodes, "node": node, "nodes_per_leaf": nodes}
    workloads = [{**fields, "steps": 1, **training}]
    return Scenario.from_dict({"name": "x", "cluster": {"topology": topology}, "workloads": workloads})


def topology_of(made: Scenario) -> Topology:
    return build(made.cluster, base=None, seed=0)


def described(reliability: ReliabilitySpec, **training: object) -> DescribedReliability:
    made = scenario(**training)  # type: ignore[arg-type]
    topology, (spec,) = topology_of(made), made.workloads
    assert isinstance(spec, TrainingSpec)
    job = describe_job(spec, topology=topology, gpus=topology.gpus)
    return describe_reliability(reliability, job, topology=topology, gpus=topology.gpus, iteration_s=2.0)


def test_blooms_checkpoint_has_its_published_size() -> None:
    """2.3 TB where bf16 weights are 329 GB: powers of two (bigscience, tr11-176B-ml/README.md)."""
    layout = {"tensor": 4, "pipeline": 12, "zero": 1}
    found = described(
        ReliabilitySpec(), node="dgx-a100-80gb", nodes=48, model="bloom-176b", parallelism=layout,
        micro_batch=2, global_batch=2048, recompute="full",
    )  # fmt: skip
    assert found.checkpoint.size_bytes / 2**40 == pytest.approx(2.3, rel=0.03)


def test_a_checkpoint_is_as_large_however_the_model_is_divided() -> None:
    job = {"model": "llama-2-7b", "recompute": "full"}
    whole = described(ReliabilitySpec(), parallelism={"zero": 3}, **job).checkpoint.size_bytes
    layout = {"tensor": 2, "pipeline": 4, "zero": 1}
    divided = described(ReliabilitySpec(), parallelism=layout, **job)
    assert divided.checkpoint.size_bytes == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "bandwidth"),
    [
        ({"node_bandwidth": "1 GB/s"}, 4e9),
        ({"node_bandwidth": "1 GB/s", "storage_bandwidth": "3 GB/s"}, 3e9),
        ({"node_bandwidth": "1 GB/s", "storage_bandwidth": "9 GB/s"}, 4e9),
        ({}, 4 * 625e6),
    ],
)
def test_nodes_or_storage_are_what_a_checkpoint_waits_for(given: dict[str, str], bandwidth: float) -> None:
    spec = CheckpointSpec.model_validate({"size": "36 GB", **given})
    cost = described(ReliabilitySpec(checkpoint=spec)).checkpoint
    assert cost.stall_s == cost.load_s == 36e9 / bandwidth
    assert cost.write_s == 0.0


def test_an_asynchronous_checkpoint_stalls_for_the_copy_and_is_written_beside_training() -> None:
    given = {"size": "36 GB", "mode": "asynchronous", "copy_bandwidth": "10 GB/s", "node_bandwidth": "1 GB/s"}
    cost = described(ReliabilitySpec(checkpoint=CheckpointSpec.model_validate(given))).checkpoint
    assert (cost.stall_s, cost.write_s, cost.load_s) == (36e9 / (32 * 10e9), 9.0, 9.0)


def test_gpus_that_hang_on_one_switch_share_its_link_to_the_host() -> None:
    topology = topology_of(scenario())
    links = {
        name: float(rate)
        for name, rate in zip(topology.link_names, topology.link_bandwidth_bytes_per_s, strict=True)
    }
    gpus = topology.gpus_by_node[topology.node_of(topology.gpus[0])]
    uplinks = {
        name for gpu in gpus for name in links if name.startswith(f"{gpu}>") and "nvswitch" not in name
    }
    found = copy_bandwidth_bytes_per_s(topology, gpus[0])
    assert 0.0 < found <= min(links[name] for name in uplinks)


def test_a_topology_without_hosts_needs_the_copy_bandwidth() -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for gpu in ("a", "b"):
        graph.add_node(gpu, kind="gpu", node="n0", accelerator="h100-sxm5-80gb")
    for ends in (("a", "b"), ("b", "a")):
        graph.add_edge(*ends, kind="nvlink", bandwidth_bytes_per_s=1e9, latency_s=1e-6)
    with pytest.raises(InputError, match="has no host") as caught:
        copy_bandwidth_bytes_per_s(from_graph(graph), "a")
    assert caught.value.problems[0].path == ("reliability", "checkpoint", "copy_bandwidth")


@pytest.mark.parametrize(
    ("layout", "blocks"),
    [
        ({"tensor": 8}, (1, 1, 1, 1)),
        ({"tensor": 8, "pipeline": 2}, (2, 2)),
        ({"tensor": 4, "pipeline": 2}, (2, 2)),  # each node has two replicas' ranks of one stage
        ({"tensor": 8, "zero": 3}, (4,)),
        ({"pipeline": 4}, (4,)),
    ],
)
def test_a_block_is_the_nodes_that_share_replicas(layout: dict[str, int], blocks: tuple[int, ...]) -> None:
    topology = topology_of(scenario())
    spec = TrainingParallelismSpec.model_validate(layout)
    assert sorted(node_blocks(Layout.of(spec, gpus=topology.gpus), topology)) == sorted(blocks)


def test_what_the_scenario_gives_goes_before_the_record() -> None:
    failures = FailureSpec.model_validate({"like": "meta-rsc-1", "node_mtbf": "100 d", "restart": "0 s"})
    found = described(ReliabilitySpec(failures=failures)).model
    assert (found.node_mtbf_s, found.restart_s, found.detection_s) == (100 * DAY_S, 0.0, 600.0)
    assert math.isinf(found.software_mtbf_s)


def test_an_interval_is_rounded_to_iterations() -> None:
    spec = CheckpointSpec.model_validate({"interval": "9.5 s"})
    assert described(ReliabilitySpec(checkpoint=spec)).model.steps == 5
    assert described(ReliabilitySpec(checkpoint=CheckpointSpec(steps=7))).model.interval_s == 14.0


def test_an_unknown_record_is_refused_with_its_place() -> None:
    with pytest.raises(InputError, match="Did you mean 'meta-rsc-1'") as caught:
        described(ReliabilitySpec(failures=FailureSpec(like="meta-rsc-11")))
    assert caught.value.problems[0].path == ("reliability", "failures", "like")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"checkpoint": {"interval": "1 h", "steps": 3}}, "give either 'interval' or 'steps', not both"),
        ({"checkpoint": {"storage_bandwidth": "0 B/s"}}, "has to be more than zero"),
        ({"failures": {"node_mtbf": "0 s"}}, "has to be more than zero"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scenario(reliability=given)
