import json

import networkx as nx
import pytest

from clustersim.errors import CannotRunError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, from_graph, read_graph, write_graph


def same(one, other):
    return nx.utils.graphs_equal(nx.MultiDiGraph(one), nx.MultiDiGraph(other))


def from_file(path, **fabric):
    spec = {"topology": {"kind": "graph", "path": path.name}, "fabric": fabric}
    return build(ClusterSpec.model_validate(spec), base=path.parent)


@pytest.mark.parametrize("ending", ["graphml", "json"])
def test_a_written_topology_reads_back_with_the_same_links_and_routes(make, tmp_path, ending):
    topology = make("leaf-spine", 4, nodes_per_leaf=2)
    path = tmp_path / f"cluster.{ending}"
    write_graph(topology.graph, path)
    assert same(read_graph(path), topology.graph)
    again = from_file(path)
    assert again.link_names == topology.link_names
    assert again.link_tier == topology.link_tier
    ends = "node0/gpu0", "node3/gpu1"
    assert [again.route(*ends, connection=n) for n in range(9)] == [
        topology.route(*ends, connection=n) for n in range(9)
    ]


@pytest.mark.parametrize("ending", ["graphml", "json"])
def test_parallel_links_survive_the_round_trip(two_gpus, tmp_path, ending):
    two_gpus.add_edge("a/gpu", "switch", bandwidth_bytes_per_s=5e9, latency_s=0.0, kind="ethernet")
    path = tmp_path / f"cluster.{ending}"
    write_graph(two_gpus, path)
    assert same(read_graph(path), two_gpus)


@pytest.mark.parametrize("ending", ["graphml", "json"])
def test_a_torus_keeps_its_coordinates_and_chips_that_forward(tmp_path, ending):
    spec = {"topology": {"kind": "torus", "dimensions": [4, 2, 2], "node": "tpu-v4"}}
    torus = build(ClusterSpec.model_validate(spec))
    path = tmp_path / f"torus.{ending}"
    write_graph(torus.graph, path)
    again = from_file(path)
    assert again.dimensions == (4, 2, 2)
    assert [again.coordinates(gpu) for gpu in again.gpus] == [torus.coordinates(gpu) for gpu in torus.gpus]
    ends = torus.gpus[0], torus.gpus[-1]
    assert again.route(*ends) == torus.route(*ends)


UNDIRECTED = {
    "directed": False,
    "multigraph": False,
    "nodes": [
        {"id": 1, "kind": "switch"},
        {"id": "a", "kind": "gpu", "node": "a", "accelerator": "l4"},
        {"id": "b", "kind": "gpu", "node": "b", "accelerator": "l4"},
    ],
    "edges": [
        {"source": "a", "target": 1, "bandwidth": "100 Gbit/s", "latency": "2 us", "kind": "ethernet"},
        {"source": 1, "target": "b", "bandwidth": "10 GB/s", "latency": "2 us", "kind": "ethernet"},
    ],
}


def test_an_undirected_graph_gets_both_directions_and_quantities_may_have_units(tmp_path):
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(UNDIRECTED))
    topology = from_file(path)
    assert sorted(topology.link_names) == ["1>a", "1>b", "a>1", "b>1"]
    assert topology.link_bandwidth_bytes_per_s[topology.link_index("1>a")] == 12.5e9
    assert topology.link_latency_s[topology.link_index("b>1")] == 2e-6


def test_quantities_that_cannot_be_read_are_all_reported(tmp_path):
    broken = json.loads(json.dumps(UNDIRECTED))
    broken["edges"][0]["bandwidth"] = "100 Gb/s"
    broken["edges"][1]["latency"] = 2
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(broken))
    with pytest.raises(InputError) as caught:
        read_graph(path)
    text = str(caught.value)
    assert "links.a>1.bandwidth: unknown bandwidth unit 'Gb/s'. It could be bits or bytes" in text
    assert "links.1>b.latency: 2 has no unit" in text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", "{", "not readable as JSON"),
        ("x.json", "[]", "not a node-link graph"),
        ("x.json", '{"nodes": [{}], "links": [{"source": 1}]}', "not a node-link graph"),
        ("x.graphml", "<graphml", "not readable as GraphML"),
        ("x.graphml", "<html/>", "not readable as GraphML"),
        ("x.gexf", "", "expected a file in .graphml, .json"),
        ("absent.json", None, "No such file"),
    ],
)
def test_a_file_that_is_no_graph_is_refused_with_its_place_in_the_scenario(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        from_file(tmp_path / name)
    assert {problem.path for problem in caught.value.problems} == {("topology", "path")}


def test_fabric_fields_that_would_have_no_effect_are_refused(two_gpus, tmp_path):
    path = tmp_path / "cluster.json"
    write_graph(two_gpus, path)
    with pytest.raises(InputError, match="has no effect on an imported graph") as caught:
        from_file(path, bandwidth="400 Gbit/s", latency="1 us", link="infiniband-ndr")
    assert [problem.path for problem in caught.value.problems] == [
        *(("fabric", "link"), ("fabric", "bandwidth"), ("fabric", "latency"))
    ]


def test_a_graph_that_breaks_the_contract_is_refused_with_file_and_vertex(two_gpus, tmp_path):
    del two_gpus.nodes["a/gpu"]["node"]
    path = tmp_path / "cluster.graphml"
    write_graph(two_gpus, path)
    with pytest.raises(
        InputError, match=r"topology\.path: cluster.graphml: vertices.a/gpu: a GPU needs 'node'"
    ):
        from_file(path)


def test_an_imported_graph_with_an_unreachable_gpu_cannot_run(two_gpus, tmp_path):
    two_gpus.remove_edge("switch", "b/gpu")
    path = tmp_path / "cluster.json"
    write_graph(two_gpus, path)
    with pytest.raises(CannotRunError, match="no path leads from 'a/gpu' to 'b/gpu'"):
        from_file(path)


def test_a_graph_is_written_only_in_formats_that_read_back(two_gpus, tmp_path):
    with pytest.raises(InputError, match=r"cannot write a graph to 'x\.dot'"):
        write_graph(two_gpus, tmp_path / "x.dot")


def test_a_topologys_own_graph_makes_the_same_topology_again(make):
    topology = make("star", 2)
    assert from_graph(topology.graph).link_names == topology.link_names
