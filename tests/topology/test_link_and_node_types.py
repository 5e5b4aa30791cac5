import pytest

from clustersim import catalog
from clustersim.catalog.nodes import SHELF as NODES
from clustersim.errors import CatalogError


@pytest.mark.parametrize("name", NODES.names())
def test_every_node_type_is_made_of_parts_that_the_catalogue_holds(name):
    node = catalog.node_type(name)
    assert catalog.accelerator(node.accelerator).memory_bytes > 0
    for link in (node.gpu_nic_link, node.nic_link, node.scale_up, node.socket_link):
        assert link is None or catalog.link(link)
    assert (node.scale_up is None) == (node.scale_up_layout == "none")
    assert bool(node.scale_up_lanes) == (node.scale_up_layout == "lanes")
    assert all(source.how in ("seen", "memory", "assumed") for source in node.sources.values())


@pytest.mark.parametrize("name", ["dgx-1v", "dgx-1v-16gb", "p3.16xlarge", "p3dn.24xlarge"])
def test_each_gpu_of_the_hybrid_cube_mesh_has_six_lanes(name):
    lanes = catalog.node_type(name).scale_up_lanes
    assert [sum(count for *ends, count in lanes if gpu in ends) for gpu in range(8)] == [6] * 8


def test_names_are_found_by_alias_and_in_any_case():
    assert catalog.link("NVLink4") is catalog.link("nvlink-4")
    assert catalog.link("IB-NDR") is catalog.link("infiniband-ndr")
    assert catalog.node_type("P5").name == "p5.48xlarge"
    assert catalog.node_type("ND96isr H100 v5").name == "nd-h100-v5"


@pytest.mark.parametrize(
    ("look_up", "wrong", "right"),
    [(catalog.link, "infiniband-nrd", "infiniband-ndr"), (catalog.node_type, "dgx-h10", "dgx-h100")],
)
def test_an_unknown_name_raises_with_the_nearest_one(look_up, wrong, right):
    with pytest.raises(CatalogError, match=f"Did you mean '{right}'"):
        look_up(wrong)
