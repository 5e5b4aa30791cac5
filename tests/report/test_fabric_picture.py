"""The picture of the topology with its links coloured by load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

import synthetic_result
from clustersim.errors import InputError
from clustersim.report.plots._fabric_boxes import rows_of
from clustersim.report.plots._fabric_grid import without_tiers
from clustersim.report.plots._fabric_pipes import lanes_of
from clustersim.report.plots._fabric_places import Layout, in_rows
from clustersim.results import Result
from clustersim.spec.scenario import Scenario
from clustersim.topology import Topology, build

TOPOLOGIES: dict[str, Mapping[str, Any]] = {
    "pair": {"kind": "star", "nodes": 2, "node": "dgx-a100"},
    "leaf-spine": {
        "kind": "leaf-spine",
        "nodes": 16,
        "node": "dgx-a100",
        "nodes_per_leaf": 4,
        "oversubscription": 4,
    },
    "fat-tree": {"kind": "fat-tree", "nodes": 128, "node": "dgx-h100", "k": 16},
    "rails": {"kind": "rail-optimized", "nodes": 32, "node": "dgx-h100"},
    "torus": {"kind": "torus", "dimensions": [4, 4], "node": "dgx-a100"},
    "torus of chips": {"kind": "torus", "dimensions": [4, 4, 4], "node": "tpu-v4"},
    "large torus": {"kind": "torus", "dimensions": [8, 8, 8], "node": "tpu-v4"},
    "hypercube": {"kind": "hypercube", "dimensions": 5, "node": "dgx-a100"},
    "hyperx": {"kind": "hyperx", "dimensions": [3, 4], "node": "dgx-a100"},
    "dragonfly": {"kind": "dragonfly", "adapters_per_router": 2, "nodes": 9, "node": "dgx-a100"},
    "mesh": {"kind": "full-mesh", "nodes": 4, "node": "dgx-a100"},
}


def scenario(topology: Mapping[str, Any]) -> Scenario:
    job = {"kind": "training", "name": "job", "model": "gpt2", "gpus": 2, "micro_batch": 1, "steps": 1}
    return Scenario.from_dict({"name": "drawn", "cluster": {"topology": topology}, "workloads": [job]})


def layout_of(topology: Topology) -> Layout:
    return without_tiers(topology) or in_rows(rows_of(topology, frozenset(range(len(topology.wires.names)))))


def built(name: str) -> Topology:
    return build(scenario(TOPOLOGIES[name]).cluster)


def lines(picture: Any) -> LineCollection:
    (found,) = (each for each in picture.axes[0].collections if isinstance(each, LineCollection))
    return found


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_link_of_the_fabric_is_between_two_boxes_or_inside_one(name: str) -> None:
    topology = built(name)
    layout = layout_of(topology)
    inside = [vertex for place in layout.places for vertex in place.box.vertices]
    assert len(inside) == len(set(inside))
    drawn = set(inside)
    left_out = {end for ends in topology.wires.ends for end in ends} - drawn
    assert {topology.wires.kind[vertex] for vertex in left_out} <= {"host"}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_no_two_boxes_overlap(name: str) -> None:
    places = layout_of(built(name)).places
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            apart_x = abs(one.x - other.x) - (one.width + other.width) / 2
            apart_y = abs(one.y - other.y) - (one.height + other.height) / 2
            assert max(apart_x, apart_y) > 0, (one.label, other.label)


def test_a_thousand_gpus_are_drawn_by_group() -> None:
    layout = layout_of(built("fat-tree"))
    rows = {place.y for place in layout.places}
    assert all(sum(place.y == y for place in layout.places) <= 32 for y in rows)
    nodes = [place for place in layout.places if "GPU" in place.box.content]
    assert sum(int(place.box.content.split()[0]) for place in nodes) == 1024
    pods = {place.box.vertices for place in nodes}
    assert len(pods) == 16


def test_each_line_has_the_load_of_its_most_loaded_link() -> None:
    topology = built("leaf-spine")
    load = np.random.default_rng(1).uniform(size=len(topology.link_names))
    layout = layout_of(topology)
    place_of = {vertex: n for n, place in enumerate(layout.places) for vertex in place.box.vertices}
    lanes = lanes_of(topology, layout, load)
    assert lanes.both
    most: dict[tuple[int, int], float] = {}
    for link, (source, target) in enumerate(topology.wires.ends):
        ends = place_of[source], place_of[target]
        if ends[0] != ends[1]:
            most[ends] = max(most.get(ends, 0.0), load[link])
    assert sorted(lane.load for lane in lanes.lines) == pytest.approx(sorted(most.values()))


def test_the_two_directions_of_a_cable_lie_side_by_side() -> None:
    topology = built("leaf-spine")
    load = np.zeros(len(topology.link_names))
    load[topology.link_index("leaf0>spine0")] = 1.0
    by_link = {lane.link: lane for lane in lanes_of(topology, layout_of(topology), load).lines}
    up = by_link[topology.link_index("leaf0>spine0")]
    down = by_link[topology.link_index("spine0>leaf0")]
    assert (up.load, down.load) == (1.0, 0.0)
    assert up.points[0, 1] < up.points[-1, 1]
    assert down.points[0, 1] > down.points[-1, 1]
    assert not np.allclose(up.points, down.points[::-1])


def test_links_that_lead_round_a_torus_are_drawn_as_their_two_ends() -> None:
    topology = built("torus")
    layout = layout_of(topology)
    lanes = lanes_of(topology, layout, np.zeros(len(topology.link_names)))
    assert lanes.wrapped
    pitch = np.ptp([place.x for place in layout.places]) / 3
    lengths = [float(np.hypot(*(lane.points[-1] - lane.points[0]))) for lane in lanes.lines]
    assert max(lengths) <= 1.01 * pitch
    wraps = 2 * 4 * 2  # two axes of four rings, both directions
    assert len(lanes.lines) == 2 * 2 * 4 * 3 + 2 * wraps


@pytest.mark.parametrize("load", ["mean", "peak"])
def test_the_most_loaded_line_is_drawn_on_top_and_widest(load: str) -> None:
    drawn = lines(synthetic_result.result().plot.fabric(load=load))
    widths = np.asarray(drawn.get_linewidths())
    assert widths.argmax() == len(widths) - 1
    assert (np.diff(widths) >= 0).all()


def test_a_time_shows_its_bin_and_names_it() -> None:
    made = synthetic_result.result()
    busy, calm = (made.plot.fabric(at_s=at_s) for at_s in (0.75, 0.0))
    assert "from 500 ms to 1.00 s" in busy.axes[0].get_title(loc="left")
    assert "from 0 s to 500 ms" in calm.axes[0].get_title(loc="left")
    assert np.max(lines(busy).get_linewidths()) >= np.max(lines(calm).get_linewidths())


def test_the_list_names_the_most_loaded_links_with_who_shared_them() -> None:
    texts = [text.get_text() for axes in synthetic_result.result().plot.fabric().axes for text in axes.texts]
    (first,) = (text for text in texts if text.startswith(synthetic_result.UPLINK))
    assert "mean 75 %, peak 100 %" in first
    assert "full for 1.00 s" in first
    assert "pretrain 80 %, chat 20 %" in first
    (second,) = (text for text in texts if text.startswith(synthetic_result.DOWNLINK))
    assert "protocol-bound for 250 ms" in second


def test_links_that_are_alike_share_one_line_of_the_list() -> None:
    made = Result(**{**_fields(), "scenario": scenario(TOPOLOGIES["pair"]), "fabric": _even("pair", 0.4)})
    texts = [text.get_text() for axes in made.plot.fabric().axes for text in axes.texts]
    listed = [text for text in texts if "mean 40 %" in text]
    tiers = set(built("pair").link_tier)
    assert len(listed) == len(tiers)
    assert any("and 31 alike" in text for text in listed)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"load": "pek"}, "Did you mean 'peak'"),
        ({"at_s": 7.0}, "expected a time of the run, 0 to 2 s"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_result.result().plot.fabric(**how)


def test_a_scenario_that_builds_other_links_than_ran_is_refused() -> None:
    made = synthetic_result.result(scenario=scenario(TOPOLOGIES["pair"]))
    with pytest.raises(InputError, match="no longer describes the cluster that ran"):
        made.plot.fabric()


def _fields() -> dict[str, Any]:
    return dict(vars(synthetic_result.result()))


def _even(name: str, load: float) -> Any:
    """A report in which every link of a topology is equally loaded."""
    from clustersim.results import FabricReport

    topology = built(name)
    count = len(topology.link_names)
    return FabricReport(
        names=topology.link_names,
        tiers=topology.link_tier,
        kinds=topology.link_kind,
        capacity_bytes_per_s=topology.link_bandwidth_bytes_per_s,
        carried_bytes=np.full(count, 1e9),
        mean_utilization=np.full(count, load),
        saturated_s=np.zeros(count),
        first_saturated_s=np.full(count, np.nan),
        last_saturated_s=np.full(count, np.nan),
        bin_edges_s=np.array([0.0, 1.0]),
        utilization=np.full((count, 1), load),
        duration_s=1.0,
        links=count,
    )
