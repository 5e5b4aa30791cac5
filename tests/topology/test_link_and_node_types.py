import pytest

from clustersim import catalog
from clustersim.catalog.links import SHELF as LINKS
from clustersim.catalog.nodes import SHELF as NODES
from clustersim.errors import CatalogError


@pytest.mark.parametrize("name", LINKS.names())
def test_every_link_type_carries_less_payload_than_its_line_rate_and_cites_each_number(name):
    link = catalog.link(name)
    assert 0.5 < link.efficiency < 1.0
    assert 0.0 < link.latency_s < 1e-5
    assert 0.0 <= link.endpoint_latency_s < 2e-5
    assert set(link.sources) == {"bandwidth_bytes_per_s", "efficiency", "latency_s", "endpoint_latency_s"}


@pytest.mark.parametrize("name", NODES.names())
def test_every_node_type_is_made_of_parts_that_the_catalogue_holds(name):
    node = catalog.node_type(name)
    assert catalog.accelerator(node.accelerator).memory_bytes > 0
    for link in (node.gpu_nic_link, node.nic_link, node.scale_up):
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


def test_one_way_over_one_switch_adds_up_to_the_cited_end_to_end_latency():
    cited_s = {
        "infiniband-edr": 1.0e-6,
        "infiniband-hdr": 1.0e-6,
        "infiniband-ndr": 1.15e-6,
        "ethernet-100g": 2.0e-6,
    }
    for name, end_to_end_s in cited_s.items():
        link = catalog.link(name)
        assert 2 * (link.latency_s + link.endpoint_latency_s) == pytest.approx(end_to_end_s)


def test_usable_nvlink_rates_are_not_below_the_measured_send_receive_rates(shared):
    import csv

    best: dict[str, float] = {}
    with shared("truth/C_collectives.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["table_id"] in ("VID-a100_dgx-send_recv-n2-d2", "VID-h100_dgx-send_recv-n2-d2"):
                best[row["gpu"]] = max(best.get(row["gpu"], 0.0), float(row["busbw_GBps"]) * 1e9)
    for gpu, link in (("A100-SXM4-80GB", "nvlink-3"), ("H100-SXM5-80GB", "nvlink-4")):
        measured, usable = best[gpu], catalog.link(link).usable_bytes_per_s
        assert measured <= usable * 1.0001
        assert usable <= measured * 1.07
