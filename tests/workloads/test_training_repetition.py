"""Iterations like the one before them are counted, with the same answer as simulating each."""

from __future__ import annotations

import numpy as np
import pytest
from training_jobs import cluster, job, run, workload

from clustersim.engine.world import World
from clustersim.results.attribution import critical_path


@pytest.mark.parametrize("parallelism", [{}, {"tensor": 2, "pipeline": 2, "zero": 1}, {"zero": 3}])
def test_repeated_is_plain(parallelism):
    topology = cluster()
    fields = {"steps": 6, "parallelism": parallelism, "global_batch": 128}
    plain, world = run(job(repeat="never", **fields), topology, undisturbed=True)
    counted, other = run(job(**fields), topology, undisturbed=True)
    assert counted.outcome().metrics == pytest.approx(plain.outcome().metrics, rel=1e-9, abs=1e-12)
    assert counted.outcome().attribution == pytest.approx(plain.outcome().attribution, rel=1e-9, abs=1e-12)
    for column, values in plain.outcome().tables["iterations"].items():
        np.testing.assert_allclose(counted.outcome().tables["iterations"][column], values, rtol=1e-9)
    usage, expected = other.fabric.usage(), world.fabric.usage()
    np.testing.assert_allclose(usage.bytes, expected.bytes, rtol=1e-9, atol=1)
    for place, wait in world.link_waits.by_place.items():
        found = other.link_waits.by_place[place]
        assert (found.full_s, found.protocol_s) == pytest.approx((wait.full_s, wait.protocol_s), abs=1e-12)
    assert other.fabric.solves < world.fabric.solves / 2


def test_activities_of_repeated_iterations_are_in_the_trace():
    topology = cluster()
    plain, world = run(job(repeat="never", steps=4), topology, undisturbed=True)
    counted, other = run(job(steps=4), topology, undisturbed=True)
    assert len(world.trace) == len(other.trace)
    for row, expected in zip(other.trace.rows, world.trace.rows, strict=True):
        assert row[:3] == expected[:3]
        assert (row.start_s, row.end_s) == pytest.approx((expected.start_s, expected.end_s), rel=1e-9)
        assert row.cause == expected.cause
    table = counted.outcome().tables["iterations"]
    np.testing.assert_array_equal(table["trace_row"], plain.outcome().tables["iterations"]["trace_row"])
    start_s, row = float(table["start_s"][3]), int(table["trace_row"][3])
    path = critical_path(other.trace.rows, row, since_s=start_s)
    assert sum(each.duration_s for each in path) == pytest.approx(table["duration_s"][3], rel=1e-9)


@pytest.mark.parametrize("fields", [{"kernel_jitter": 0.1}, {"repeat": "never"}])
def test_what_varies_or_is_told_so_is_simulated(fields):
    once, _ = run(job(steps=1, **fields), cluster(), undisturbed=True)
    _, many = run(job(steps=5, **fields), cluster(), undisturbed=True)
    _, one = run(job(steps=1, **fields), cluster(), undisturbed=True)
    assert many.fabric.solves > 4 * one.fabric.solves
    assert once.outcome().complete


def test_a_world_with_others_in_it_is_simulated():
    _, shared = run(job(steps=5), cluster(), undisturbed=False)
    _, alone = run(job(steps=5), cluster(), undisturbed=True)
    assert shared.fabric.solves > 3 * alone.fabric.solves


def test_an_interrupted_repetition_reports_whole_iterations():
    topology = cluster()
    whole, _ = run(job(steps=6), topology, undisturbed=True)
    world = World(topology)
    world.undisturbed = True
    part = workload(job(steps=6), topology)
    part.start(world)
    world.env.run(until=whole.outcome().tables["iterations"]["start_s"][4] * 1.0001)
    assert len(part.outcome().tables["iterations"]["start_s"]) == 4
