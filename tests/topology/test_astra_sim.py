import itertools
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build, describe

DATA = Path(__file__).parent / "data"
GB = 2**30


def read(folder, name="network.yml", accelerator="a100"):
    spec = {"kind": "astra-sim", "path": name, "accelerator": accelerator}
    return build(ClusterSpec.model_validate({"topology": spec}), base=folder)


def written(tmp_path, **fields):
    table = {"topology": "[Ring]", "npus_count": "[8]", "bandwidth": "[50.0]", "latency": "[500.0]", **fields}
    (tmp_path / "network.yml").write_text("".join(f"{key}: {value}\n" for key, value in table.items()))
    return tmp_path


def test_each_dimension_is_joined_by_its_building_block():
    topology = read(DATA, "ring-fc-switch.yml")
    assert len(topology.gpus) == 24
    assert topology.dimensions == (2, 4, 3)
    cables = {tier.tier: tier.cables for tier in describe(topology).tiers}
    assert cables == {"dimension 0": 12, "dimension 1": 3 * 2 * 6, "dimension 2": 24}
    assert {name.partition("-")[0] for name in topology.graph if "switch" in name} == {"switch2"}


def test_npus_are_numbered_with_the_first_dimension_fastest():
    topology = read(DATA, "ring-fc-switch.yml")
    expected = [(x, y, z) for z, y, x in itertools.product(range(3), range(4), range(2))]
    assert [topology.coordinates(gpu) for gpu in topology.gpus] == expected
    assert topology.gpus_by_node["node1"] == topology.gpus[2:4]


def test_bandwidth_is_in_binary_gigabytes_and_latency_in_nanoseconds():
    topology = read(DATA, "ring-fc-switch.yml")
    (link,) = topology.route(topology.gpus[0], topology.gpus[1])
    assert topology.link_bandwidth_bytes_per_s[link] == 200 * GB
    assert topology.link_latency_s[link] == pytest.approx(50e-9)


@pytest.mark.parametrize(("block", "farthest"), [("Ring", 4), ("FullyConnected", 1), ("Switch", 2)])
def test_hops_are_those_of_astra_sims_own_blocks(tmp_path, block, farthest):
    topology = read(written(tmp_path, topology=f"[{block}]"))
    hops = [len(topology.route(topology.gpus[0], gpu)) for gpu in topology.gpus[1:]]
    assert max(hops) == farthest
    assert len(topology.gpus_by_node) == 8


WRONG = [
    ({"topology": "[Rign]"}, r"network\.yml:1:12: topology\[0\]: expected Ring, FullyConnected or Switch"),
    ({"npus_count": "[8, 2]"}, r"npus_count: has 2 items, 'topology' has 1"),
    ({"npus_count": "[2.5]"}, r"npus_count\[0\]: expected a whole number from 1, got 2\.5"),
    ({"bandwidth": "50"}, r"bandwidth: expected a list with one item per dimension, got 50"),
    ({"bandwidth": "[0]"}, r"bandwidth\[0\]: expected GB/s, more than zero, got 0"),
    ({"latency": "[-1]"}, r"latency\[0\]: expected ns, zero or more, got -1"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_what_makes_no_sense_is_refused_with_line_and_column(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, **fields))


def test_a_missing_field_is_named_with_the_one_that_looks_like_it(tmp_path):
    (tmp_path / "network.yml").write_text("topology: [Ring]\nnpu_count: [8]\nbandwidth: [1]\nlatency: [1]\n")
    with pytest.raises(InputError, match=r"'npus_count' is missing \(it has 'npu_count'\)"):
        read(tmp_path)
    (tmp_path / "network.yml").write_text("- 1\n")
    with pytest.raises(InputError, match="expected the fields topology, npus_count"):
        read(tmp_path)
