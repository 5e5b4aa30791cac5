"""What a kernel's time is booked on is what it would shrink with."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.accelerators import DeviceSpeed
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.operators import decode_attention, elementwise, gemm, prefill_attention
from clustersim.cost.roofline import EagerRoofline, Roofline, SustainedRoofline
from clustersim.cost.serving.stage import ServingRoofline

DEVICES = ["a100", "h100", "v100", "mi300x", "b200"]
WIDTHS = st.sampled_from([64, 256, 1024, 4096, 11008])
SMALL = 1e-4


@st.composite
def operators(draw):
    kind = draw(st.sampled_from(["gemm", "prefill", "decode", "elementwise"]))
    if kind == "gemm":
        rows = draw(st.integers(1, 4096))
        return gemm("g", m=rows, n=draw(WIDTHS), k=draw(WIDTHS), precision="fp16")
    if kind == "elementwise":
        return elementwise("e", bytes_moved=draw(st.floats(0.0, 1e9)), precision="fp16")
    shape = {"heads": 32, "kv_heads": 8, "head_dim": 128, "precision": "fp16"}
    if kind == "decode":
        return decode_attention("d", batch=draw(st.integers(1, 256)), context_sum=100_000, **shape)
    return prefill_attention(
        "p", queries=draw(st.integers(1, 4096)), past=draw(st.integers(0, 4096)), **shape
    )


def rooflines(device):
    serving = ServingRoofline(device, formats=NumberFormats(precision="fp16"))
    return [Roofline(device), SustainedRoofline(device), serving]


def seconds(operator, device, kind, speed):
    return rooflines(device.with_speed(speed))[kind].kernel(operator).seconds


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(DEVICES), operators(), st.integers(0, 2), st.floats(0.3, 3.0), st.floats(0.3, 3.0))
def test_a_share_is_the_elasticity_at_any_speed(name, operator, kind, compute, memory):
    device, at = catalog.accelerator(name), DeviceSpeed(compute=compute, memory_bandwidth=memory)
    time = rooflines(device.with_speed(at))[kind].kernel(operator)
    for field, own_s in (("compute", time.compute_s), ("memory_bandwidth", time.memory_s)):
        speed = getattr(at, field)
        fast, slow = (at._replace(**{field: speed * math.exp(d)}) for d in (SMALL, -SMALL))
        change = math.log(seconds(operator, device, kind, slow) / seconds(operator, device, kind, fast))
        assert change / (2 * SMALL) == pytest.approx(own_s / time.seconds, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(DEVICES), operators(), st.integers(0, 2), st.floats(0.1, 10.0))
def test_a_device_that_is_f_times_faster_takes_an_fth(name, operator, kind, factor):
    device, own = catalog.accelerator(name), DeviceSpeed()
    fast = seconds(operator, device, kind, DeviceSpeed(factor, factor, factor))
    assert fast * factor == pytest.approx(seconds(operator, device, kind, own), rel=1e-12)


@given(operators())
def test_the_parts_of_a_kernel_add_up_to_latency_and_a_rounded_maximum(operator):
    roofline = Roofline(catalog.accelerator("a100"))
    compute_s, memory_s, latency_s = roofline.roofs(operator)
    time = roofline.kernel(operator)
    assert time.seconds == pytest.approx(latency_s + (compute_s**6 + memory_s**6) ** (1 / 6), rel=1e-12)
    if min(compute_s, memory_s) > 0.0:
        assert time.compute_s / time.memory_s == pytest.approx(
            (compute_s / memory_s) ** 6, rel=1e-6, abs=1e-12
        )


def test_at_the_corner_both_roofs_have_half():
    curves = Roofline(catalog.accelerator("a100")).curves
    operator = gemm("g", m=512, n=512, k=512, precision="fp16")
    device = catalog.accelerator("a100")
    roofs = Roofline(device, curves=curves).roofs(operator)
    even = replace(
        device,
        memory_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s * roofs.memory_s / roofs.compute_s,
    )
    time = Roofline(even).kernel(operator)
    assert time.compute_s == pytest.approx(time.memory_s, rel=1e-9)


def test_a_stream_that_its_launches_bound_is_the_hosts():
    device = catalog.accelerator("a100")
    short = [elementwise("add", bytes_moved=1e4, precision="fp16")] * 20
    time = EagerRoofline(device).stream(short)
    assert time.launch_s == time.seconds
    twice = EagerRoofline(device.with_speed(DeviceSpeed(host=2.0))).stream(short)
    assert twice.seconds == pytest.approx(time.seconds / 2)
    assert EagerRoofline(device.with_speed(DeviceSpeed(compute=2.0))).stream(short) == time
