"""Jitter and stragglers: the slowest rank sets the pace."""

from __future__ import annotations

import numpy as np
import pytest
from training_jobs import cluster, job, kernels_s, run, workload

from clustersim.engine.world import World
from clustersim.errors import InputError
from clustersim.workloads.training.pace import STEADY, Pacer
from clustersim.workloads.training.stragglers import spread_slowdowns


def pacer(
    *, ranks: int = 8, lanes: int = 4, jitter: float = 0.0, slow: float = 1.0, passes: int = 3
) -> Pacer:
    slowdown = np.ones(ranks)
    slowdown[-1] = slow
    members = np.arange(ranks).reshape(lanes, -1).tolist()
    random = np.random.default_rng(3)
    return Pacer(members, slowdown=slowdown, passes=passes, jitter=jitter, random=random)


def test_alike_ranks_are_steady():
    assert pacer().steady
    assert pacer().draw() == [STEADY] * 4


def test_a_lane_is_as_slow_as_its_slowest_rank_in_each_pass():
    sigma = np.sqrt(np.log1p(0.3**2))
    factors = np.random.default_rng(3).lognormal(-(sigma**2) / 2, sigma, size=(3, 8))
    for lane, pace in enumerate(pacer(jitter=0.3).draw()):
        own = factors[:, 2 * lane : 2 * lane + 2]
        assert pace.slowest == pytest.approx(own.max(axis=1))
        assert pace.mean == pytest.approx(own.mean(axis=1))
        assert pace.update_slowest == 1.0


def test_factors_have_mean_one_and_the_given_variation():
    (pace,) = pacer(ranks=1, lanes=1, jitter=0.25, passes=40_000).draw()
    assert np.mean(pace.mean) == pytest.approx(1.0, rel=0.01)
    assert np.std(pace.mean) == pytest.approx(0.25, rel=0.03)


def test_only_the_lane_of_a_slow_rank_is_slow():
    *others, slow = pacer(slow=2.0).draw()
    assert {tuple(pace.slowest) for pace in others} == {(1.0, 1.0, 1.0)}
    assert slow.slowest == [2.0, 2.0, 2.0]
    assert slow.mean == [1.5, 1.5, 1.5]
    assert (slow.update_slowest, slow.update_mean) == (2.0, 1.5)


def test_one_slow_gpu_in_eight_holds_up_all_by_as_much():
    topology = cluster(bandwidth="100 Tbit/s")
    usual, _ = run(job(overlap={"enabled": False}), topology)
    slowed, _ = run(job(overlap={"enabled": False}, stragglers=[{"gpu": 3, "slowdown": 1.5}]), topology)
    before, after = usual.outcome().metrics, slowed.outcome().metrics
    longer_s = after["iteration_s.mean"] - before["iteration_s.mean"]
    assert longer_s == pytest.approx(0.5 * kernels_s(usual), rel=1e-9)
    assert after["waiting_s"] == pytest.approx(7 / 8 * longer_s, rel=1e-9)
    assert after["compute_s"] + after["host_s"] == pytest.approx(
        before["compute_s"] + before["host_s"] + longer_s / 8, rel=1e-9
    )


def test_a_slow_node_is_all_its_gpus():
    topology = cluster()
    node, _ = run(job(stragglers=[{"node": 1, "slowdown": 1.2}]), topology)
    gpus, _ = run(job(stragglers=[{"gpu": gpu, "slowdown": 1.2} for gpu in range(4, 8)]), topology)
    assert node.outcome().metrics == gpus.outcome().metrics


@pytest.mark.parametrize("who", [{"gpu": 8}, {"node": 2}])
def test_a_straggler_that_is_not_there_is_refused(who):
    with pytest.raises(InputError, match="does not exist"):
        workload(job(stragglers=[{**who, "slowdown": 2.0}]), cluster())


def test_more_ranks_wait_longer():
    def mean_wait(gpus: int) -> float:
        world = World(cluster(nodes=8))
        training = workload(job(gpus=gpus, kernel_jitter=0.1, steps=10), world.topology)
        world.env.run(until=training.start(world))
        return training.outcome().metrics["waiting_s"]

    assert mean_wait(2) < mean_wait(8) < mean_wait(32)


def test_the_speeds_of_gpus_have_mean_one_and_the_given_spread():
    factors = spread_slowdowns(40_000, 0.1, np.random.default_rng(5))
    assert np.mean(factors) == pytest.approx(1.0, rel=0.005)
    assert np.std(factors) == pytest.approx(0.1, rel=0.03)
    assert (spread_slowdowns(8, 0.0, np.random.default_rng(5)) == 1.0).all()


def test_a_gpu_that_is_slower_than_others_stays_so_and_holds_up_all():
    topology = cluster(bandwidth="100 Tbit/s")
    usual, _ = run(job(steps=3, overlap={"enabled": False}), topology)
    spread, world = run(job(steps=3, overlap={"enabled": False}, gpu_spread=0.05), topology)
    slowest = spread_slowdowns(8, 0.05, world.random("job", "spread")).max()
    assert slowest > 1.0
    times = [training.outcome().tables["iterations"]["duration_s"] for training in (usual, spread)]
    assert np.ptp(times[1]) < 1e-12
    assert times[1][0] - times[0][0] == pytest.approx((slowest - 1.0) * kernels_s(usual), rel=1e-9)
