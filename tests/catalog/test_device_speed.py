"""A device whose resources are faster than the catalogue's."""

import pytest

from clustersim import catalog
from clustersim.catalog.accelerators import AS_BUILT, DeviceSpeed

H100 = catalog.accelerator("h100")


def test_a_device_at_its_own_speed_is_the_catalogues():
    assert H100.with_speed(AS_BUILT) is H100


def test_each_factor_reaches_the_rates_of_its_resource_alone():
    fast = H100.with_speed(DeviceSpeed(compute=2.0, memory_bandwidth=3.0, host=5.0), memory_capacity=7.0)
    for precision in H100.peak_flops:
        assert fast.peak(precision) == 2.0 * H100.peak(precision)
        assert fast.sustained_rate(precision) == pytest.approx(2.0 * H100.sustained_rate(precision))
        assert fast.rate(precision, share=0.9) == pytest.approx(2.0 * H100.rate(precision, share=0.9))
    assert fast.memory_bandwidth_bytes_per_s == 3.0 * H100.memory_bandwidth_bytes_per_s
    assert fast.kernel_launch_s == H100.kernel_launch_s / 5.0
    assert fast.memory_bytes == 7.0 * H100.memory_bytes
    assert fast.slowdown_beside_collective("scale_out") == H100.slowdown_beside_collective("scale_out")


def test_the_catalogue_shows_no_speed():
    assert "speed" not in catalog.describe("h100")
