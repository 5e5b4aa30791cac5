"""`clustersim calibrate`: curves come back from the times of a device, and its file works in a scenario."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from clustersim import catalog, topology
from clustersim.catalog.accelerators import Accelerator
from clustersim.cli import main
from clustersim.cost.efficiency import curve_set
from clustersim.cost.operators import gemm, prefill_attention
from clustersim.cost.roofline import Roofline
from clustersim.errors import CatalogError, InputError
from clustersim.spec.cluster import ClusterSpec
from clustersim.spec.scenario import Scenario
from clustersim.study import calibrate
from clustersim.study.calibrate import (
    PLANS,
    Backend,
    Calibration,
    Measured,
    Plan,
    calibrated,
    device_file_text,
    measure,
    open_backend,
)
from clustersim.study.calibrate.backends import Kernel
from clustersim.study.calibrate.measure import _kernels
from clustersim.study.calibrate.numpy_backend import NumpyBackend
from clustersim.study.validation.kernels.tables import Measurement
from clustersim.topology.summary import describe

H100 = catalog.accelerator("h100")
TINY = replace(
    PLANS["quick"],
    rows=(16, 64),
    weights=((64, 64),),
    lengths=(32,),
    contexts=(32,),
    norms=((16, 64), (64, 64)),
    hold_s=0.02,
)


class PretendGpu(NumpyBackend):
    """Calls itself an H100; what it runs is not timed."""

    vendor = "NVIDIA"
    precisions = ("bf16", "fp8")
    attention_precision = "bf16"
    skips_masked = True

    def __init__(self) -> None:
        self.device_name, self.software = "NVIDIA H100 80GB HBM3", "PyTorch 9.9"
        self.compute_units, self.memory_bytes = H100.compute_units, H100.memory_bytes

    def product(self, m: int, n: int, k: int, *, precision: str) -> Kernel:
        return lambda: None

    def attention(self, **sizes: int) -> Kernel:
        return lambda: None

    def attention_backward(self, **sizes: int) -> Kernel | None:
        return lambda: None

    def copy(self, size_bytes: int) -> Kernel:
        return lambda: None

    def norm(self, rows: int, width: int) -> Kernel:
        return lambda: None


def pretended(backend: Backend, plan: Plan) -> Measured:
    """Give each kernel of a plan the time that the catalogue's H100 takes."""
    known = Roofline(H100)
    rows = tuple(
        Measurement(
            "calibration", operator.name, backend.device_name, (operator,), known.kernel(operator).seconds
        )
        for operator, _ in _kernels(backend, plan)
    )
    return Measured(rows, {"bf16": 690e12, "fp8": 1200e12}, 4e-6, 350e9)


@pytest.fixture(scope="module")
def gpu() -> Calibration:
    backend = PretendGpu()
    return calibrated(backend, pretended(backend, PLANS["gpu"]), like=H100, name="mine")


def test_the_curves_of_a_device_come_back_from_its_times(gpu: Calibration) -> None:
    assert gpu.median_error < 0.01
    mine, known = Roofline(gpu.accelerator, curves=gpu.curves), Roofline(H100)
    for operator in (
        gemm("unseen", m=2048, n=6144, k=5120, precision="bf16"),
        gemm("unseen", m=3000, n=11008, k=4096, precision="fp8"),
        prefill_attention("unseen", queries=4096, heads=32, kv_heads=8, head_dim=128, precision="bf16"),
    ):
        assert mine.kernel(operator).seconds == pytest.approx(known.kernel(operator).seconds, rel=0.08)


def test_a_device_file_says_what_it_holds_and_where_each_number_is_from(
    gpu: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(device_file_text(gpu, device="NVIDIA H100", date="2026-01-31"), encoding="utf-8")
    found = catalog.accelerator(str(path))
    assert found.name == "mine"
    assert found.peak("bf16") == H100.peak("bf16")
    assert found.sustained_rate("bf16") < 0.9 * found.peak("bf16")
    assert found.kernel_launch_s == pytest.approx(4e-6)
    measured = found.sources["memory"]
    assert str(measured) == "clustersim calibrate on NVIDIA H100, PyTorch 9.9, 2026-01-31 (seen)"
    assert found.sources["peak"].how == "assumed"
    curves = curve_set(found.efficiency)
    assert curves.sources["memory.optimizer"].how == "assumed"
    operator = gemm("product", m=4096, n=4096, k=4096, precision="bf16")
    assert Roofline(found).kernel(operator).seconds == pytest.approx(
        Roofline(gpu.accelerator, curves=gpu.curves).kernel(operator).seconds, rel=1e-3
    )


def test_this_processor_can_be_calibrated(tmp_path: Path) -> None:
    backend = NumpyBackend()
    found = calibrated(backend, measure(backend, TINY), like=None, name="cpu")
    path = tmp_path / "cpu.yaml"
    path.write_text(device_file_text(found, device="a processor", date="2026-01-31"), encoding="utf-8")
    device = catalog.accelerator(str(path))
    product = gemm("product", m=64, n=64, k=64, precision="fp32")
    assert 0.0 < Roofline(device).kernel(product).seconds < 10.0
    with pytest.raises(CatalogError, match=r"has no matrix products in 'bf16'"):
        Roofline(device).kernel(replace(product, precision="bf16"))


@pytest.fixture
def device_file(gpu: Calibration, tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(device_file_text(gpu, device="NVIDIA H100", date="2026-01-31"), encoding="utf-8")
    return path


def cluster(accelerator: str) -> ClusterSpec:
    shape = {"kind": "star", "node": "dgx-a100", "nodes": 2}
    return ClusterSpec.model_validate({"topology": shape, "accelerator": accelerator})


def test_a_scenario_names_a_device_file_by_its_path(device_file: Path) -> None:
    built = topology.build(cluster("mine.yaml"), base=device_file.parent)
    assert catalog.accelerator(built.accelerator_of(built.gpus[0])).name == "mine"
    assert describe(built).gpus == {"mine": 16}


def test_a_cluster_may_have_another_accelerator_of_the_catalogue_than_its_node_type() -> None:
    built = topology.build(cluster("h200"))
    found: Accelerator = catalog.accelerator(built.accelerator_of(built.gpus[0]))
    assert found.name == "h200-sxm-141gb"


@pytest.mark.parametrize(
    ("name", "message"),
    [("h201", "unknown accelerator 'h201'"), ("nowhere.yaml", r"nowhere\.yaml: cannot be read")],
)
def test_an_accelerator_that_is_not_there_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        topology.build(cluster(name), base=tmp_path)
    assert caught.value.problems[0].path == ("accelerator",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "efficiency:\n  sources",
            "efficency:\n  sources",
            r"unknown part 'efficency'\. Did you mean 'efficiency'",
        ),
        ("vendor: NVIDIA", "maker: NVIDIA", "accelerator.vendor is missing"),
        ("memory: 81559 MiB", "memory: plenty", "accelerator: .*plenty"),
        ("all: measured", "all: hearsay", "cites 'hearsay', which is not among the sources"),
        ("device: mine", "device: [", "cannot be read as YAML"),
    ],
)
def test_a_broken_device_file_is_refused_with_what_is_wrong(
    device_file: Path, old: str, new: str, message: str
) -> None:
    text = device_file.read_text(encoding="utf-8")
    assert old in text
    device_file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        catalog.accelerator(str(device_file))


def test_a_changed_device_file_is_read_again_and_changes_the_hash(device_file: Path) -> None:
    document = {
        "name": "mine",
        "cluster": {"topology": {"kind": "star", "node": "dgx-a100", "nodes": 1}, "accelerator": "mine.yaml"},
        "workloads": [
            {"kind": "training", "name": "t", "model": "gpt2", "gpus": 8, "micro_batch": 1, "steps": 1}
        ],
    }
    scenario = Scenario.from_dict(document, base_dir=device_file.parent)
    before, known = scenario.content_hash(), catalog.accelerator(str(device_file))
    text = device_file.read_text(encoding="utf-8")
    device_file.write_text(text.replace("kernel_launch: 4 us", "kernel_launch: 40 us"), encoding="utf-8")
    assert catalog.accelerator(str(device_file)).kernel_launch_s == pytest.approx(10 * known.kernel_launch_s)
    assert scenario.content_hash() != before


def test_the_command_writes_the_file_and_says_how_well_the_curves_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibrate, "open_backend", lambda device: NumpyBackend())
    monkeypatch.setattr(calibrate, "PLANS", {"quick": TINY})
    out = tmp_path / "mine.yaml"
    assert main(["calibrate", "--device", "cpu", "--sizes", "quick", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "median error of the curves" in said.out
    assert catalog.accelerator(str(out)).vendor == "CPU"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "mine.txt"], "'mine.txt' should end in .yaml"),
        (["--out", "nowhere/mine.yaml"], "there is no folder 'nowhere'"),
        (["--like", "h10"], "unknown accelerator 'h10'"),
    ],
)
def test_the_command_refuses_what_it_cannot_do_before_it_measures(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
def test_without_pytorch_a_gpu_is_refused_and_the_processor_is_measured_by_numpy() -> None:
    with pytest.raises(InputError, match=r"needs PyTorch: pip install 'clustersim\[calibrate\]'"):
        open_backend("cuda")
    assert isinstance(open_backend("cpu"), NumpyBackend)
    assert isinstance(open_backend(), NumpyBackend)
