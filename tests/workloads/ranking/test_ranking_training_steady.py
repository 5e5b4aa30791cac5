"""Steps that are counted give what simulating each of them gives."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_jobs import cluster, job, workload

from clustersim.engine.world import World


def run(spec):
    """Run a job that has the world to itself."""
    topology = cluster()
    world = World(topology)
    world.undisturbed = True
    made = workload(spec, topology)
    made.start(world)
    world.env.run()
    return made, world


CASES = {
    "planned": {"framework": "hugectr"},
    "launches hold up": {"batch": 64},
    "slow storage": {"batch": 512, "input": {"sample": "1 kB", "node_bandwidth": "0.1 GB/s"}},
    "one rank": {"gpus": 1, "model": "wide-and-deep"},
    "rows in host memory": {"batch": 512, "sharding": {"plan": "table-wise", "place": "uvm"}},
}


@pytest.mark.parametrize("name", CASES)
def test_counting_steps_gives_what_simulating_them_gives(name):
    fields = {"steps": 40, **CASES[name]}
    counted, with_counting = run(job(**fields))
    simulated, without = run(job(**fields, repeat="never"))
    assert with_counting.env.now == pytest.approx(without.env.now, rel=1e-9)
    ours, theirs = counted.outcome(), simulated.outcome()
    assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-8, abs=1e-12)
    assert dict(ours.attribution) == pytest.approx(dict(theirs.attribution), abs=1e-6)
    moved, expected = (_by_links(world) for world in (with_counting, without))
    assert moved == pytest.approx(expected, rel=1e-9)
    for table in ("iterations", "ranks"):
        for column in ("start_s", "duration_s", "embedding_s", "waiting_s", "input_stall_s"):
            if column in ours.tables[table]:
                np.testing.assert_allclose(
                    np.sort(ours.tables[table][column]),
                    np.sort(theirs.tables[table][column]),
                    rtol=1e-7,
                    atol=1e-9,
                )


def _by_links(world):
    found = {}
    for each, moved in world.fabric.moved_bytes():
        key = (each.links, each.weights)
        found[key] = found.get(key, 0.0) + moved
    return found


def test_counting_takes_events_of_few_steps():
    counted, with_counting = run(job(steps=200, framework="hugectr"))
    _, without = run(job(steps=200, framework="hugectr", repeat="never"))
    assert next(with_counting.env._eid) < 0.3 * next(without.env._eid)
    assert len(counted.outcome().tables["iterations"]["start_s"]) == 200
    assert counted.outcome().complete


def test_nothing_is_counted_where_something_varies():
    spec = job(steps=30, batch=512, host={"jitter": 0.1})
    made, _ = run(spec)
    assert made._repeats == 0
    assert len(set(made.outcome().tables["iterations"]["duration_s"])) > 20


def test_a_duration_is_over_after_as_many_steps_counted_or_not():
    counted, _ = run(job(duration="60 ms", framework="hugectr"))
    simulated, _ = run(job(duration="60 ms", framework="hugectr", repeat="never"))
    assert counted._repeats > 0
    lengths = [len(each.outcome().tables["iterations"]["start_s"]) for each in (counted, simulated)]
    assert abs(lengths[0] - lengths[1]) <= 1
