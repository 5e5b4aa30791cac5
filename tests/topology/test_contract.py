import math

import networkx as nx
import pytest

from clustersim.errors import CannotRunError, InputError
from clustersim.topology import check, from_graph


def problems(graph):
    with pytest.raises(InputError) as caught:
        from_graph(graph)
    return {(problem.path, problem.message) for problem in caught.value.problems}


def test_a_graph_that_keeps_the_contract_is_taken_and_not_touched(two_gpus):
    before = nx.node_link_data(two_gpus, edges="links")
    topology = from_graph(two_gpus)
    assert topology.gpus == ("a/gpu", "b/gpu")
    assert nx.node_link_data(two_gpus, edges="links") == before
    two_gpus.add_node("more", kind="device")
    assert "more" not in topology.graph


def test_all_problems_of_a_graph_are_reported_at_once(two_gpus):
    del two_gpus.nodes["a/gpu"]["node"]
    two_gpus.nodes["b/gpu"]["accelerator"] = "a100-sxm4-4gb"
    two_gpus.nodes["switch"]["kind"] = "swich"
    two_gpus.add_node("c")
    del two_gpus.edges["a/gpu", "switch", 0]["bandwidth_bytes_per_s"]
    two_gpus.edges["switch", "a/gpu", 0]["latency_s"] = -1.0
    two_gpus.edges["b/gpu", "switch", 0]["bandwidth_bytes_per_s"] = "10 GB/s"
    del two_gpus.edges["switch", "b/gpu", 0]["kind"]
    two_gpus.add_edge("c", "c", bandwidth_bytes_per_s=0.0, latency_s=math.nan, kind="wan", tier=3)
    with pytest.raises(InputError) as caught:
        check(two_gpus)
    assert str(caught.value).splitlines() == [
        "vertices.switch: unknown kind 'swich'. Did you mean 'switch'?",
        "vertices.a/gpu: a GPU needs 'node', the name of its server",
        "vertices.b/gpu: unknown accelerator 'a100-sxm4-4gb'. Did you mean 'a100-sxm4-40gb'?",
        "vertices.c: 'kind' is missing; expected one of gpu, nic, switch, host, device",
        "links.switch>a/gpu: 'latency_s' is -1.0; expected zero or more",
        "links.switch>b/gpu: 'kind' is missing; expected a technology such as nvlink, pcie, ethernet",
        "links.a/gpu>switch: 'bandwidth_bytes_per_s' is missing; expected bytes per second as a number",
        "links.b/gpu>switch: 'bandwidth_bytes_per_s' is '10 GB/s'; "
        "expected bytes per second as a finite number",
        "links.c>c: 'bandwidth_bytes_per_s' is 0.0; expected more than zero",
        "links.c>c: 'latency_s' is nan; expected seconds as a finite number",
        "links.c>c: 'tier' is 3; expected text",
        "links.c>c: a link joins two different vertices",
    ]
    assert caught.value.exit_code == 2


def test_a_misspelt_attribute_is_named(two_gpus):
    fields = two_gpus.edges["a/gpu", "switch", 0]
    fields["bandwith_bytes_per_s"] = fields.pop("bandwidth_bytes_per_s")
    ((path, message),) = problems(two_gpus)
    assert path == ("links", "a/gpu>switch")
    assert "missing (it has 'bandwith_bytes_per_s')" in message


def test_a_graph_without_gpus_is_refused():
    graph = nx.MultiDiGraph()
    graph.add_node("switch", kind="switch")
    assert problems(graph) == {(("vertices",), "the graph has no vertex of kind 'gpu'")}


@pytest.mark.parametrize("graph", [nx.Graph(), nx.DiGraph(), nx.MultiGraph(), None])
def test_another_kind_of_graph_is_refused_with_what_to_do(graph):
    with pytest.raises(InputError, match=r"a topology is a networkx.MultiDiGraph .* got"):
        check(graph)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("level", 0), ("level", "2"), ("level", True), ("node", 3)),
        *(("forwards", "yes"), ("reduces", 1), ("coordinates", (0, 1.5)), ("coordinates", "0 1")),
    ],
)
def test_optional_attributes_of_a_vertex_are_checked_too(two_gpus, name, value):
    two_gpus.nodes["switch"][name] = value
    ((_, message),) = problems(two_gpus)
    assert f"'{name}' is {value!r}" in message


def test_vertices_are_named_by_text(two_gpus):
    two_gpus.add_node(7, kind="device")
    assert problems(two_gpus) == {(("vertices", "7"), "a vertex is named by text, got int")}


def test_every_gpu_that_cannot_be_reached_is_named_and_the_system_cannot_run(two_gpus):
    for name in ("c", "d"):
        two_gpus.add_node(f"{name}/gpu", kind="gpu", node=name, accelerator="l4")
    with pytest.raises(CannotRunError) as caught:
        from_graph(two_gpus)
    assert [problem.path for problem in caught.value.problems] == [
        ("vertices", "c/gpu"),
        ("vertices", "d/gpu"),
    ]
    assert caught.value.exit_code == 3
    assert "no path leads from 'a/gpu' to 'c/gpu'" in str(caught.value)


def test_a_switch_that_joins_only_gpus_of_one_node_is_taken_as_part_of_it(two_gpus):
    two_gpus.add_node("a/gpu2", kind="gpu", node="a", accelerator="a100-sxm4-40gb")
    two_gpus.add_node("bridge", kind="switch")
    for gpu in ("a/gpu", "a/gpu2"):
        for ends in ((gpu, "bridge"), ("bridge", gpu)):
            two_gpus.add_edge(*ends, bandwidth_bytes_per_s=1e11, latency_s=0.0, kind="nvlink")
    for ends in (("a/gpu2", "switch"), ("switch", "a/gpu2")):
        two_gpus.add_edge(*ends, bandwidth_bytes_per_s=1e10, latency_s=0.0, kind="ethernet")
    topology = from_graph(two_gpus)
    assert topology.node_of("bridge") == "a"
    kinds = {topology.link_kind[link] for link in topology.route("a/gpu", "a/gpu2")}
    assert kinds == {"nvlink"}
    assert topology.rail("a/gpu2") == 1
