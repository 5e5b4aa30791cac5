"""Fit the efficiency curves of the catalogue to public kernel measurements.

    python tools/fit_efficiency.py --truth FOLDER > efficiency.yaml    (a minute)

The fit minimises the absolute log error of kernel times with the package's own curves
(Levenberg-Marquardt on re-weighted residuals). The printed file is
`src/clustersim/catalog/data/efficiency.yaml`; `clustersim validate kernels --table FOLDER` prints
the error. Besides the tables of the folder, the fit of the backward pass and of narrow heads uses the
published rates of the validation's own table (`kernels.csv`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from efficiency_file import HEADER, as_yaml

from clustersim import catalog
from clustersim.cost.efficiency import CurveSet, GemmCurve, MemoryCurve
from clustersim.study.calibrate.fit import STARTS, log_errors, unfitted
from clustersim.study.calibrate.fit import fit as fit_device
from clustersim.study.validation.framework import read_table
from clustersim.study.validation.kernels.rows import COLUMNS, table_rows
from clustersim.study.validation.kernels.tables import Measurement, measurements

SETS = {"a100": "a100-sxm4-80gb", "h100": "h100-sxm5-80gb", "a40": "a40", "v100": "v100-sxm2-16gb"}
L2_BYTES = {"a100-sxm4-80gb": 40e6, "h100-sxm5-80gb": 50e6, "a40": 6e6, "v100-sxm2-16gb": 6e6}
"""NVIDIA datasheets. Decode rows whose KV cache fits are warm in the
measuring loop, but not in a model, where weights pass in between."""

STREAM_LIMIT = 0.9
"""No kernel streams through more of the peak memory bandwidth than BabelStream does on HBM (about
0.9, recalled); a table that shows more was partly read from the cache."""

SHAPE_OF_HEADS = {"efficiency": 0.6, "prologue_keys": 200.0, "softmax_width": 30.0}
"""What rates over lengths and widths of heads, in figures of papers, tell of a curve."""

EXPERTS = {"latency_s": 8e-6, "efficiency": 0.5, "tile_half": 50.0, "prologue_k": 100.0}
"""What layers of experts tell of a curve; they read weights at the rate of dense products."""

UNALIGNED = ((16,), (8, 4), (2,))
"""Bytes that rows are multiples of; rows of 8 measure as those of 4."""

FEW_ROWS = 16
"""Rows per expert below which skewed routing leaves experts unvisited, whose weights are not read."""


def fit(
    begin: Any,
    rows: Sequence[Measurement],
    install: Callable[[Any], CurveSet],
    start: Mapping[str, float] | None = None,
) -> Any:
    """Fit a curve on the devices of the catalogue."""
    return fit_device(begin, rows, install, catalog.accelerator, start)


def thinned(rows: Iterable[Measurement], limit: int) -> list[Measurement]:
    """Return at most `limit` rows, evenly spaced in a fixed shuffle."""
    found = list(rows)
    order = np.random.default_rng(0).permutation(len(found))[:limit]
    return [found[i] for i in sorted(order)]


def cold(rows: Iterable[Measurement]) -> list[Measurement]:
    """Return rows that are larger than the L2 cache, or so small (4 MB) that latency decides."""
    return [row for row in rows if not 4e6 < row.operators[0].bytes_moved < 1.5 * L2_BYTES[row.device]]


class Tables:
    """All measurements: those of a folder, and the published rates that the package ships."""

    def __init__(self, folder: Path) -> None:
        shipped = Path(str(resources.files("clustersim.study.validation") / "data" / "kernels.csv"))
        published = table_rows(read_table(shipped, COLUMNS))
        self.rows = [row for row in measurements(folder) if row.operators]
        self.published = [row for row in published if row.table != "AIConfigurator"]

    def of(self, device: str, table: str, **wanted: str) -> list[Measurement]:
        """Return rows of a device and a table by `kind` and `precision` of their one kernel."""
        return [
            row
            for row in self.rows
            if (row.device, row.table) == (device, table)
            and len(row.operators) == 1
            and all(getattr(row.operators[0], key) == value for key, value in wanted.items())
        ]

    def deep_bench(self, precision: str) -> list[Measurement]:
        """Return products of V100 that the package ships."""
        return [
            row
            for row in self.published
            if row.table == "DeepBench" and row.operators[0].precision == precision
        ]

    def experts(self, device: str, precision: str) -> list[Measurement]:
        """Return layers of experts, with balanced routing where the device has such rows."""
        found = {
            table: [
                row
                for row in self.rows
                if (row.device, row.table) == (device, f"AIConfigurator, {table}")
                and row.operators[0].precision == precision
            ]
            for table in ("balanced", "skewed")
        }
        return found["balanced"] or [row for row in found["skewed"] if _rows_per_expert(row) >= FEW_ROWS]

    def attention(self, tables: Iterable[str], kind: str) -> list[Measurement]:
        """Return published rates of fused attention on H100, with heads of 64 and 128."""
        return [
            row
            for row in self.published
            if row.table in tables
            and row.operators[0].kind == kind
            and row.operators[0].shape.head_dim <= 128  # type: ignore[union-attr]
        ]


def _rows_per_expert(row: Measurement) -> float:
    return max(each.shape.m for each in row.operators if each.kind == "expert_gemm")  # type: ignore[union-attr]


def _as_bf16(row: Measurement) -> Measurement:
    """Return a row of 16-bit products as one of those that curves are fitted for."""
    return replace(row, operators=tuple(replace(each, precision="bf16") for each in row.operators))


def _alignment_bytes(row: Measurement) -> int:
    return row.operators[0].shape.alignment_bytes  # type: ignore[union-attr]


def _kind_of_product(row: Measurement) -> tuple[bool, bool]:
    """Tell dense products, scores and their products with values apart."""
    shape = row.operators[0].shape
    return shape.groups > 1, shape.n < shape.k  # type: ignore[union-attr]


def fit_alignment(tables: Tables, curves: CurveSet) -> dict[int, float]:
    """Return how many times longer products take whose rows are no multiples of 32 bytes.

    Beside those of the same kind that are: the median over rows of each kind, then the geometric
    mean over kinds.
    """
    rows = [_as_bf16(row) for row in tables.published if row.table == "Anthony et al."]
    errors = -log_errors(rows, curves, catalog.accelerator)
    kinds = {_kind_of_product(row) for row in rows}
    factors = {}
    for sizes in UNALIGNED:
        logs = []
        for kind in kinds:
            own = [
                error
                for row, error in zip(rows, errors, strict=True)
                if _kind_of_product(row) == kind and _alignment_bytes(row) in sizes
            ]
            aligned = [
                error
                for row, error in zip(rows, errors, strict=True)
                if _kind_of_product(row) == kind and _alignment_bytes(row) >= 32
            ]
            logs.append(np.median(own) - np.median(aligned))
        factors |= dict.fromkeys(sizes, float(np.exp(np.mean(logs))))
    return factors


def is_grouped(row: Measurement) -> bool:
    shape = row.operators[0].shape
    return shape.kv_heads < shape.heads  # type: ignore[union-attr]


def fit_set(name: str, tables: Tables, begin: CurveSet) -> CurveSet:
    """Fit one device; curves without measurements stay as in `begin`."""
    device = SETS[name]
    curves = _fit_products(tables, device, replace(begin, name=name))
    curves = _fit_memory(tables, device, curves)
    curves = _fit_attention(tables, device, curves)
    return _fit_experts(tables, device, curves)


def _fit_products(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    for precision in ("bf16", "fp8"):
        rows = tables.of(device, "AIConfigurator", kind="gemm", precision=precision)
        if not rows and precision == "bf16":
            rows = [
                _as_bf16(row)
                for row in thinned(tables.of(device, "Vidur", kind="gemm", precision="fp16"), 600)
            ]
        if rows:
            base, start = curves, GemmCurve(**STARTS[GemmCurve])
            found = fit(start, rows, lambda c: replace(base, gemm={**base.gemm, precision: c}))  # noqa: B023
            curves = replace(curves, gemm={**curves.gemm, precision: found})
    return curves


def fit_volta(tables: Tables, begin: CurveSet) -> CurveSet:
    """Fit products in fp32, which no tensor core does, and in fp16; all else stays as in `begin`."""
    curves = replace(begin, name="v100")
    for precision in ("fp32", "fp16"):
        base, start = curves, GemmCurve(**STARTS[GemmCurve])
        found = fit(
            start,
            tables.deep_bench(precision),
            lambda c: replace(base, gemm={**base.gemm, precision: c}),  # noqa: B023
        )
        curves = replace(curves, gemm={**curves.gemm, precision: found})
    return replace(curves, gemm={"fp32": curves.gemm["fp32"], "bf16": curves.gemm["fp16"]})


def _fit_memory(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    for kind in ("norm", "activation", "embedding", "elementwise"):
        rows = thinned(tables.of(device, "Vidur", kind=kind), 1200)
        base, start = curves, MemoryCurve(**STARTS[MemoryCurve])
        found = fit(start, rows, lambda c: replace(base, memory={**base.memory, kind: c}))  # noqa: B023
        found = replace(found, efficiency=min(found.efficiency, STREAM_LIMIT))
        curves = replace(curves, memory={**curves.memory, kind: found})
    return curves


def _fit_attention(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    rows = tables.of(device, "AIConfigurator", kind="attention_prefill")
    if not rows:
        return curves
    found = fit(curves.prefill_attention, rows, lambda c: replace(curves, prefill_attention=c))
    curves = _fit_heads(tables, device, replace(curves, prefill_attention=found))
    decode = cold(tables.of(device, "AIConfigurator", kind="attention_decode"))
    grouped = [row for row in decode if is_grouped(row)]
    plain = [row for row in decode if not is_grouped(row)]
    found = fit(curves.grouped_decode, grouped, lambda c: replace(curves, grouped_decode=c))
    curves = replace(curves, grouped_decode=found)
    found = fit(curves.plain_decode, plain, lambda c: replace(curves, plain_decode=c))
    return replace(curves, plain_decode=found)


def _fit_heads(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    """Fit the width of heads and the backward pass to rates published for H100.

    H100 takes those of its own kernels, A100 those of FlashAttention-2, with the backward pass
    as much slower than the forward pass as it is on H100.
    """
    hopper = device == SETS["h100"]
    kernels = ("FlashAttention-3", "cuDNN") if hopper else ("FlashAttention-2",)
    forward_rows = tables.attention(kernels, "attention_prefill")
    backward_rows = tables.attention(kernels, "attention_backward")
    known = curves.prefill_attention
    forward = fit(known, forward_rows, lambda c: replace(curves, prefill_attention=c), SHAPE_OF_HEADS)
    backward = fit(known, backward_rows, lambda c: replace(curves, backward_attention=c), SHAPE_OF_HEADS)
    if not hopper:
        share = known.efficiency * backward.efficiency / forward.efficiency
        backward = replace(backward, efficiency=share)
    known = replace(known, softmax_width=forward.softmax_width)
    return replace(curves, prefill_attention=known, backward_attention=backward)


def _fit_experts(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    for precision in ("bf16", "fp8"):
        rows = tables.experts(device, precision)
        if rows:
            base = curves
            found = fit(
                base.gemm[precision],
                rows,
                lambda c: replace(base, expert_gemm={**base.expert_gemm, precision: c}),  # noqa: B023
                EXPERTS,
            )
            curves = replace(curves, expert_gemm={**curves.expert_gemm, precision: found})
    return curves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="folder of the measured tables")
    tables = Tables(parser.parse_args().truth)
    print(HEADER, end="")
    fitted = {"a100": fit_set("a100", tables, unfitted())}
    fitted["h100"] = fit_set("h100", tables, unfitted())
    fitted["a40"] = fit_set("a40", tables, replace(fitted["a100"], gemm={}))
    fitted["v100"] = fit_volta(tables, fitted["a100"])
    alignment = fit_alignment(tables, fitted["a100"])
    single = fitted["v100"].gemm["fp32"]
    for name in SETS:
        slower = {} if name == "v100" else alignment
        print(as_yaml(fitted[name], single=single, alignment=slower, limit=STREAM_LIMIT))


if __name__ == "__main__":
    main()
