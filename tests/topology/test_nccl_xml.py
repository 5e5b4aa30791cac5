import re
from pathlib import Path

import pytest

from clustersim import catalog
from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build
from clustersim.topology.importers.nccl_xml import read_nccl_xml

DATA = Path(__file__).parent / "data"
FOUR_H100 = (DATA / "four-h100.xml").read_text()


def cluster(name, folder=DATA, *, fabric=None, **fields):
    spec = {"topology": {"kind": "star", "nodes": 2, "node": name, **fields}, "fabric": fabric or {}}
    return build(ClusterSpec.model_validate(spec), base=folder)


def edited(tmp_path, *changes, text=FOUR_H100):
    for old, new in changes:
        assert re.search(old, text)
        text = re.sub(old, new, text)
    (tmp_path / "dump.xml").write_text(text)
    return lambda **fields: cluster("dump.xml", tmp_path, **fields)


def rate(topology, link):
    return topology.link_bandwidth_bytes_per_s[topology.link_index(link)]


def test_a_dump_is_a_node_of_any_topology():
    rails = cluster("four-h100.xml", kind="rail-optimized", nodes=3)
    assert len(rails.gpus) == 12
    assert rails.accelerator_of("node2/gpu3") == "h100-sxm5-80gb"
    assert [rails.rail(gpu) for gpu in rails.gpus_by_node["node1"]] == [0, 1, 2, 3]
    tiers = [rails.link_tier[link] for link in rails.route("node0/gpu1", "node2/gpu1")]
    assert tiers == ["pcie", "pcie", "nic", "nic", "pcie", "pcie"]


def test_lanes_to_the_nvswitches_add_up_to_the_bandwidth_of_the_gpu():
    topology = cluster("four-h100.xml")
    assert rate(topology, "node0/gpu2>node0/nvswitch") == pytest.approx(
        catalog.link("nvlink-4").usable_bytes_per_s
    )
    assert rate(topology, "node0/nvswitch>node0/gpu2") == pytest.approx(
        catalog.link("nvlink-4").usable_bytes_per_s
    )


def test_ports_and_pcie_have_the_technology_of_their_speed():
    topology = cluster("four-h100.xml")
    assert rate(topology, "node0/nic0>switch0") == pytest.approx(
        catalog.link("infiniband-ndr").usable_bytes_per_s
    )
    assert rate(topology, "node0/gpu0>node0/pcie0") == pytest.approx(48e9)
    assert rate(topology, "node0/host0>node0/host1") == pytest.approx(22e9)


def test_adapters_slower_than_the_fastest_are_left_out():
    assert len(read_nccl_xml(DATA / "four-h100.xml").nics) == 4
    assert FOUR_H100.count("<net ") == 5


def test_lanes_between_peers_narrow_links_and_the_order_of_devices_are_kept():
    topology = cluster("two-v100-peers.xml")
    assert rate(topology, "node0/gpu0>node0/gpu1") == pytest.approx(
        2 / 6 * catalog.link("nvlink-2").usable_bytes_per_s
    )
    assert rate(topology, "node0/gpu0>node0/host") == pytest.approx(12.5e9 / 2)
    assert rate(topology, "node0/gpu1>node0/host") == pytest.approx(12.5e9)
    assert topology.link_kind[topology.link_index("node0/nic0>switch0")] == "ethernet"


def test_elements_and_attributes_of_the_future_are_passed_over(tmp_path):
    make = edited(tmp_path, ("<gpu ", '<quantum spin="up"/><gpu colour="green" '))
    assert len(make().gpus) == 8


def test_a_file_made_for_nccl_topo_file_without_gpu_elements_does_as_well(tmp_path):
    text = """<system version="1">
      <cpu numaid="0" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="85">
        <pci busid="ffff:ff:01.0" class="0x060400" link_speed="8 GT/s" link_width="16">
          <pci busid="0000:10:1c.0" class="0x030200" vendor="0x10de" device="0x20b0" link_speed="8 GT/s"/>
          <pci busid="0000:10:1d.0" class="0x030200" accelerator="l40s" link_speed="8 GT/s"/>
          <pci busid="0000:10:1b.0" class="0x020000" vendor="0x1d0f" device="0xefa0" link_speed="8 GT/s"/>
        </pci>
      </cpu>
    </system>"""
    make = edited(tmp_path, text=text)
    with pytest.raises(InputError, match=r"fabric\.link: unknown link 'efa-0g'"):
        make()
    topology = make(fabric={"link": "efa-100g"})
    assert topology.accelerator_of("node0/gpu0") == "a100-sxm4-40gb"
    assert topology.accelerator_of("node0/gpu1") == "l40s"
    assert len(topology.route("node0/gpu0", "node0/gpu1")) == 2


WRONG = [
    ("system", "graphs", r"expected <system>, .* got <graphs>; it is a graph dump"),
    ("</system>", "", r"dump\.xml:\d+:1: not readable as XML: no element found"),
    ('device="0x2330"', 'device="0x9999"', r"GPU 0000:1b:00\.0 is of the unknown device '0x10de:0x9999'"),
    ('device="0x2330"', 'accelerator="h10"', r"unknown accelerator 'h10'\. Did you mean"),
    ('sm="90"', 'sm="35"', r'dump\.xml:\d+:\d+: <gpu>: sm="35" has no NVLink that is known'),
    ('count="5"', 'count="five"', r'<nvlink>: count="five" is no number'),
    ('count="5"', 'count="0"', r'<nvlink>: count="0"; expected at least one lane'),
    ('link_speed="32.0 GT/s PCIe"', 'link_speed="fast"', r'<pci>: link_speed="fast" is not understood'),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_makes_no_sense_is_refused_with_file_line_and_what_to_do(tmp_path, old, new, message):
    make = edited(tmp_path, (old, new))
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert {problem.path for problem in caught.value.problems} == {("topology", "node")}


def test_a_file_without_a_gpu_or_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no GPU in it"):
        edited(tmp_path, text='<system version="1"><cpu numaid="0"/></system>')()
    with pytest.raises(InputError, match=r"cannot read absent\.xml: No such file"):
        cluster("absent.xml", tmp_path)


def test_a_speed_that_the_catalogue_lacks_needs_a_link_type(tmp_path):
    make = edited(tmp_path, ('speed="400000"', 'speed="120000"'))
    with pytest.raises(InputError, match=r"fabric\.link: unknown link 'infiniband-120g'"):
        make()
    assert rate(make(fabric={"link": "infiniband-edr"}), "node0/nic0>switch0") == pytest.approx(12e9)
