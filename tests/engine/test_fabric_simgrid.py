"""The same flows as SimGrid simulated: its finish times to within 1e-6."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simpy

from clustersim.engine.fabric import Fabric, replay_flows
from clustersim.engine.fabric.replay import read_columns

SETS = [
    "star16_200",
    "star16_200_lat",
    "ft16_500",
    "ft16_500_lat",
    "leafspine64_1000",
    "ft128_2000",
    "ft1024_10k_load01",
    "ft1024_2k_burst",
]

Tables = tuple[dict[str, list[str]], dict[str, list[str]]]


def tables(shared: Callable[[str], Path], name: str) -> Tables:
    links = read_columns(shared(f"reference/links_{name}.csv.gz"))
    return links, read_columns(shared(f"reference/{name}.csv.gz"))


def assert_agrees(finish: np.ndarray, flows: dict[str, list[str]]) -> None:
    """Compare the time on the way, not only the date of arrival."""
    start = np.array(flows["start"], dtype=float)
    want = np.array(flows["finish"], dtype=float)
    # The tables have twelve decimals of a second.
    np.testing.assert_allclose(finish - start, want - start, rtol=1e-6, atol=2e-12)


@pytest.mark.parametrize("name", SETS)
def test_replayed_flows_finish_when_simgrid_says(shared: Callable[[str], Path], name: str) -> None:
    links, flows = tables(shared, name)
    assert_agrees(replay_flows(links, flows)["finish"], flows)


@pytest.mark.parametrize("name", ["star16_200_lat", "ft16_500", "leafspine64_1000"])
def test_flows_of_simpy_processes_finish_when_simgrid_says(shared: Callable[[str], Path], name: str) -> None:
    links, flows = tables(shared, name)
    env = simpy.Environment()
    fabric = Fabric(env, [float(b) for b in links["bandwidth_Bps"]], names=links["name"])
    latency = [float(value) for value in links["latency_s"]]
    finish = np.zeros(len(flows["bytes"]))

    def send(row: int):
        path = [int(link) for link in flows["path"][row].split()]
        yield env.timeout(float(flows["start"][row]))
        yield env.timeout(sum(latency[link] for link in path))
        yield fabric.start(fabric.route_set(path), float(flows["bytes"][row]))
        finish[row] = env.now

    for row in range(len(finish)):
        env.process(send(row))
    env.run()
    assert_agrees(finish, flows)
