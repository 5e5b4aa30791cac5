import subprocess
import sys

import pytest

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe, draw, figure, from_graph
from clustersim.topology._boxes import MOST_BOXES, boxes_of
from clustersim.topology._lattice import lattice_of
from clustersim.topology.levels import levels_of

CASES = [
    ("star", 2, "dgx-a100", {}),
    ("leaf-spine", 20, "a100-40gb-x4", {"nodes_per_leaf": 5, "oversubscription": 4}),
    ("leaf-spine", 64, "a100-40gb-x4", {"nodes_per_leaf": 1}),
    ("rail-optimized", 64, "dgx-h100", {}),
    ("fat-tree", 64, "dgx-h100", {}),
    ("leaf-spine", 8, "a100-40gb-x4", {"nodes_per_leaf": 2, "planes": 2}),
    ("dragonfly", 24, "dgx-h100", {"adapters_per_router": 4}),
    ("dragonfly-plus", 32, "dgx-h100", {"adapters_per_leaf": 8, "leaves_per_group": 8}),
    ("full-mesh", 8, "dgx-a100", {"nodes_per_switch": 2}),
    ("full-mesh", 3, "dgx-a100", {}),
]
GRIDS = [
    {"kind": "torus", "dimensions": [4, 4, 4], "node": "tpu-v4"},
    {"kind": "torus", "dimensions": [5], "node": "dgx-h100"},
    {"kind": "hypercube", "dimensions": 5, "node": "t4-x1"},
    {"kind": "hyperx", "dimensions": [4, 3], "node": "t4-x1"},
]


@pytest.mark.parametrize(("kind", "nodes", "node", "fields"), CASES)
def test_a_drawing_is_a_png_with_every_tier(make, tmp_path, kind, nodes, node, fields):
    path = tmp_path / "topology.png"
    draw(make(kind, nodes, node, **fields), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


@pytest.mark.parametrize(("kind", "nodes", "node", "fields"), CASES)
def test_no_row_is_longer_than_its_labels_can_bear_and_nothing_is_lost(make, kind, nodes, node, fields):
    topology = make(kind, nodes, node, **fields)
    levels = levels_of(topology)
    rows = boxes_of(topology, levels)
    assert all(len(row) <= MOST_BOXES for row in rows)
    assert sorted(name for box in rows[0] for name in box.members) == sorted(topology.gpus_by_node)
    for level, row in enumerate(rows[1:], start=1):
        assert sum(len(box.members) for box in row) == len(levels.members(level))


@pytest.mark.parametrize(("kind", "nodes", "node", "fields"), CASES)
def test_labels_do_not_overlap_and_stay_inside_the_picture(make, kind, nodes, node, fields):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = figure(make(kind, nodes, node, **fields))
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    extents = [text.get_window_extent(canvas.get_renderer()) for text in picture.axes[0].texts]
    for n, one in enumerate(extents):
        assert one.x0 >= 0
        assert one.x1 <= picture.bbox.x1
        assert one.y0 >= 0
        assert one.y1 <= picture.bbox.y1
        assert not any(one.overlaps(other) for other in extents[:n])


@pytest.mark.parametrize("spec", GRIDS, ids=lambda spec: spec["kind"])
def test_a_grid_shows_every_place_once_and_every_cable(spec):
    topology = build(ClusterSpec.model_validate({"topology": spec}))
    lattice = lattice_of(topology)
    places = {name for name, fields in topology.graph.nodes(data=True) if fields.get("coordinates")}
    chips = spec["node"].startswith("tpu")
    assert set(lattice.places) == {name for name in places if chips or name.startswith("switch")}
    assert len(set(lattice.places.values())) == len(lattice.places)
    cables = [tier for tier in describe(topology).tiers if tier.tier.startswith(("dimension", "hypercube"))]
    assert len(lattice.cables) == sum(tier.cables for tier in cables)
    assert _title_and_footer_are_apart(figure(topology))


def test_a_grid_that_is_too_large_to_read_is_drawn_in_boxes():
    torus = {"kind": "torus", "dimensions": [32, 32], "node": "tpu-v5e"}
    assert lattice_of(build(ClusterSpec.model_validate({"topology": torus}))) is None


def _title_and_footer_are_apart(picture):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    title, footer = (text.get_window_extent(canvas.get_renderer()) for text in picture.axes[0].texts[-2:])
    inside = all(box.y0 >= 0 and box.y1 <= picture.bbox.y1 and box.x0 >= 0 for box in (title, footer))
    return inside and not title.overlaps(footer)


def test_nodes_joined_without_a_switch_are_drawn_beside_each_other(tmp_path, two_gpus):
    two_gpus.remove_node("switch")
    for ends in (("a/gpu", "b/gpu"), ("b/gpu", "a/gpu")):
        two_gpus.add_edge(*ends, bandwidth_bytes_per_s=1e9, latency_s=0.0, kind="wan")
    topology = from_graph(two_gpus)
    draw(topology, tmp_path / "pair.svg")
    assert "node" in (tmp_path / "pair.svg").read_text()


def test_the_layer_loads_neither_matplotlib_nor_pandas():
    code = "import sys, clustersim.topology; print({'matplotlib', 'pandas', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
