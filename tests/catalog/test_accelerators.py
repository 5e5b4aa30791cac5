"""Accelerators: complete, plausible, equal to the reference table."""

import csv

import pytest

from clustersim import catalog
from clustersim.errors import CatalogError

SCALES = {
    "fp32_tflops": "fp32",
    "tf32_tflops": "tf32",
    "fp16_tflops": "fp16",
    "bf16_tflops": "bf16",
    "fp8_tflops": "fp8",
    "int8_tops": "int8",
}
TABLE_NAMES = {
    "P100-SXM2-16GB": "p100",
    "V100-SXM2": "v100",
    "T4": "t4",
    "A100-SXM4-40GB": "a100-40gb",
    "A100-SXM4-80GB": "a100",
    "H100-SXM5": "h100",
    "H100-NVL-94GB": "h100-nvl",
    "H200-SXM": "h200",
    "B200-SXM": "b200",
    "MI300X": "mi300x",
    "L40S": "l40s",
    "TPU v5p": "tpu-v5p",
    "Gaudi3": "gaudi3",
}


@pytest.mark.parametrize("name", catalog.names("accelerators"))
def test_an_accelerator_is_complete_and_plausible(name):
    device = catalog.accelerator(name)
    assert 1e10 < device.memory_bytes < 1e12
    assert 1e11 < device.memory_bandwidth_bytes_per_s < 2e13
    assert device.peak_flops
    assert all(1e12 < peak < 1e16 for peak in device.peak_flops.values())
    assert device.compute_units >= 1
    assert 0 < device.kernel_launch_s < 1e-4
    assert device.peak_flops.get("fp8", 1e16) >= device.peak_flops.get("bf16", 0)


def test_rates_equal_the_reference_table(shared):
    with shared("truth/D_accelerators.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for table_name, name in TABLE_NAMES.items():
        device, row = catalog.accelerator(name), rows[table_name]
        for column, precision in SCALES.items():
            if row[column]:
                assert device.peak(precision) == pytest.approx(float(row[column]) * 1e12)
        assert device.memory_bandwidth_bytes_per_s == pytest.approx(float(row["mem_bw_gbps"]) * 1e9)
        if row["scaleup_gbps_per_dir"]:
            assert device.scale_up_bandwidth_bytes_per_s == float(row["scaleup_gbps_per_dir"]) * 1e9


def test_memory_is_what_the_driver_reports():
    # nvidia-smi totals, modal-labs/modal-client pull request 2797
    totals = {"h100": 81559, "a100": 81920, "a100-40gb": 40960, "l40s": 46068, "l4": 23034, "t4": 15360}
    for name, mebibytes in totals.items():
        assert catalog.accelerator(name).memory_bytes == mebibytes * 2**20


def test_a_precision_that_the_device_lacks_is_refused_with_those_it_has():
    with pytest.raises(
        CatalogError, match=r"v100-sxm2-32gb has no peak rate for 'bf16'\. Did you mean 'fp16'"
    ):
        catalog.accelerator("v100").peak("bf16")


def test_kernels_beside_a_collective_have_the_multiprocessors_that_it_leaves():
    hopper = catalog.accelerator("h100")
    assert hopper.slowdown_beside_collective("scale_up") == pytest.approx(132 / (132 - 24))
    assert hopper.slowdown_beside_collective("scale_out") == pytest.approx(132 / (132 - 16))
    assert catalog.accelerator("tpu-v4").slowdown_beside_collective("scale_up") == 1.0


@pytest.mark.parametrize("name", catalog.names("accelerators"))
def test_a_collective_slows_kernels_no_more_than_was_ever_measured(name):
    # 1.40 at worst over A100, H100, MI210 and MI250 (arXiv 2507.03114)
    device = catalog.accelerator(name)
    up, out = (device.slowdown_beside_collective(reach) for reach in ("scale_up", "scale_out"))
    assert 1.0 <= out <= up < 1.4
    assert up == 1.0 or "collective_units" in device.sources
