import subprocess
import sys

import pytest

from clustersim.topology import draw, figure, from_graph
from clustersim.topology._boxes import MOST_BOXES, boxes_of
from clustersim.topology.levels import levels_of

CASES = [
    ("star", 2, "dgx-a100", {}),
    ("leaf-spine", 20, "a100-40gb-x4", {"nodes_per_leaf": 5, "oversubscription": 4}),
    ("leaf-spine", 64, "a100-40gb-x4", {"nodes_per_leaf": 1}),
    ("rail-optimized", 64, "dgx-h100", {}),
    ("fat-tree", 64, "dgx-h100", {}),
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
