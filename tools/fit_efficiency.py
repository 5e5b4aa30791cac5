"""Fit the efficiency curves of the catalogue to public kernel measurements, or report their error.

    python tools/fit_efficiency.py --truth FOLDER --fit > efficiency.yaml    (half a minute)
    python tools/fit_efficiency.py --truth FOLDER --report

The fit minimises the absolute log error of kernel times with the package's own curves
(Levenberg-Marquardt on re-weighted residuals). The printed file replaces
`src/clustersim/catalog/data/efficiency.yaml`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from kernel_tables import (
    Row,
    attention_rows,
    expert_rows,
    gemm_rows,
    operator_rows,
    profiled_attention_rows,
)

from clustersim import catalog
from clustersim.cost.efficiency import (
    CurveSet,
    DecodeAttentionCurve,
    GemmCurve,
    MemoryCurve,
    PrefillAttentionCurve,
)
from clustersim.cost.roofline import Roofline

SETS = {"a100": "a100-sxm4-80gb", "h100": "h100-sxm5-80gb", "a40": "a40"}
L2_BYTES = {"a100-sxm4-80gb": 40e6, "h100-sxm5-80gb": 50e6, "a40": 6e6}
"""NVIDIA datasheets. Decode rows whose KV cache fits are warm in the
measuring loop, but not in a model, where weights pass in between."""

STREAM_LIMIT = 0.9
"""No kernel streams through more of the peak memory bandwidth than BabelStream does on HBM (about
0.9, recalled); a table that shows more was partly read from the cache."""

STARTS: dict[type, Mapping[str, float]] = {
    GemmCurve: {
        "latency_s": 4e-6,
        "efficiency": 0.9,
        "tile_half": 25.0,
        "prologue_k": 200.0,
        "memory_efficiency": 0.75,
        "split_s": 3e-6,
    },
    PrefillAttentionCurve: {
        "latency_s": 8e-6,
        "efficiency": 0.6,
        "prologue_keys": 200.0,
        "memory_efficiency": 0.6,
    },
    DecodeAttentionCurve: {"latency_s": 1e-5, "memory_efficiency": 0.8, "saturating_blocks": 8.0},
    MemoryCurve: {"latency_s": 2e-6, "efficiency": 0.8},
}


def levenberg_marquardt(
    residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray, *, rounds: int = 40
) -> np.ndarray:
    """Minimise Σ|r| by re-weighted Levenberg-Marquardt with numerical derivatives."""
    point, damping = start, 1e-2
    r = residuals(point)
    for _ in range(rounds):
        weights = 1.0 / np.sqrt(np.maximum(np.abs(r), 0.05))
        steps = np.eye(point.size) * 1e-3
        jacobian = np.array([(residuals(point + h) - residuals(point - h)) / 2e-3 for h in steps]).T
        a, b = jacobian * weights[:, None], r * weights
        while damping < 1e8:
            trial = point - np.linalg.solve(a.T @ a + damping * np.eye(point.size), a.T @ b)
            r_trial = residuals(trial)
            if np.abs(r_trial).sum() < np.abs(r).sum() * (1 - 1e-6):
                point, r, damping = trial, r_trial, damping / 3
                break
            damping *= 3
        else:
            break
    return point


def log_errors(rows: Sequence[Row], curves: CurveSet) -> np.ndarray:
    rooflines = {
        name: Roofline(catalog.accelerator(name), curves=curves) for name in {row.device for row in rows}
    }
    predicted = [rooflines[row.device].stream([row.operator, *row.more]).seconds for row in rows]
    return np.log(np.array(predicted) / np.array([row.seconds for row in rows]))


def fit(kind: type, rows: Sequence[Row], install: Callable[[Any], CurveSet]) -> Any:
    """Return the curve of class `kind` that fits `rows`; `install` puts it into a set."""
    start = STARTS[kind]

    def curve(point: np.ndarray) -> Any:
        return kind(**dict(zip(start, np.exp(np.clip(point, -30, 20)).tolist(), strict=True)))

    begin = np.log(np.array(list(start.values())))
    best = levenberg_marquardt(lambda point: log_errors(rows, install(curve(point))), begin)
    return curve(best)


def thinned(rows: Iterable[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows, evenly spaced in a fixed shuffle."""
    found = list(rows)
    order = np.random.default_rng(0).permutation(len(found))[:limit]
    return [found[i] for i in sorted(order)]


def cold(rows: Iterable[Row]) -> list[Row]:
    """Return rows that are larger than the L2 cache, or so small (4 MB) that latency decides."""
    return [row for row in rows if not 4e6 < row.operator.bytes_moved < 1.5 * L2_BYTES[row.device]]


class Tables:
    """All measurements of one device."""

    def __init__(self, truth: Path) -> None:
        readers = (gemm_rows, attention_rows, expert_rows, profiled_attention_rows, operator_rows)
        self.rows = [row for reader in readers for row in reader(truth)]

    def of(self, device: str, **wanted: str) -> list[Row]:
        """Return rows of a device by `table`, `kind` and `precision`."""
        table = wanted.pop("table", None)
        return [
            row
            for row in self.rows
            if row.device == device
            and not row.more
            and table in (None, row.table)
            and all(getattr(row.operator, key) == value for key, value in wanted.items())
        ]


def is_grouped(row: Row) -> bool:
    return row.operator.shape.kv_heads < row.operator.shape.heads  # type: ignore[union-attr]


def unfitted() -> CurveSet:
    """Return a set of the starting values."""
    decode = DecodeAttentionCurve(**STARTS[DecodeAttentionCurve])
    return CurveSet(
        name="unfitted",
        gemm={},
        prefill_attention=PrefillAttentionCurve(**STARTS[PrefillAttentionCurve]),
        grouped_decode=decode,
        plain_decode=decode,
        memory={},
        sources={},
    )


def fit_set(name: str, tables: Tables, start: CurveSet) -> CurveSet:
    """Return the curve set of one device; what no table covers stays as in `start`."""
    device, curves = SETS[name], replace(start, name=name)
    for precision in ("bf16", "fp8"):
        rows = tables.of(device, table="AIConfigurator", kind="gemm", precision=precision)
        if name == "a40" and precision == "bf16":
            rows = thinned(tables.of(device, table="Vidur", kind="gemm"), 600)
            rows = [replace(row, operator=replace(row.operator, precision="bf16")) for row in rows]
        if rows:
            base, key = curves, precision
            found = fit(GemmCurve, rows, lambda c: replace(base, gemm={**base.gemm, key: c}))  # noqa: B023
            curves = replace(curves, gemm={**curves.gemm, precision: found})
    curves = _fit_attention(tables, device, curves)
    for kind in ("norm", "elementwise", "activation", "embedding"):
        rows = thinned(tables.of(device, table="Vidur", kind=kind), 1200)
        base, key = curves, kind
        found = fit(MemoryCurve, rows, lambda c: replace(base, memory={**base.memory, key: c}))  # noqa: B023
        found = replace(found, efficiency=min(found.efficiency, STREAM_LIMIT))
        curves = replace(curves, memory={**curves.memory, kind: found})
    return curves


def _fit_attention(tables: Tables, device: str, curves: CurveSet) -> CurveSet:
    prefill = tables.of(device, table="AIConfigurator", kind="attention_prefill")
    if not prefill:
        return curves
    decode = cold(tables.of(device, table="AIConfigurator", kind="attention_decode"))
    grouped = [row for row in decode if is_grouped(row)]
    plain = [row for row in decode if not is_grouped(row)]
    found = fit(PrefillAttentionCurve, prefill, lambda c: replace(curves, prefill_attention=c))
    curves = replace(curves, prefill_attention=found)
    found = fit(DecodeAttentionCurve, grouped, lambda c: replace(curves, grouped_decode=c))
    curves = replace(curves, grouped_decode=found)
    found = fit(DecodeAttentionCurve, plain, lambda c: replace(curves, plain_decode=c))
    return replace(curves, plain_decode=found)


HEADER = """\
# Efficiency curves: what a device family reaches of its peaks; clustersim.cost.efficiency has the equations.
# Made by tools/fit_efficiency.py --fit. Times in seconds.
sources:
  gemm-a100: {text: "Fit to 490 products of A100 SXM4 80GB, vLLM 0.14.0, CUDA graphs; ai-dynamo/aiconfigurator@095f58a51c systems/data/a100_sxm/gemm", how: seen}
  gemm-h100: {text: "Fit to 490 products each of bf16 and fp8 of H100 SXM5 80GB, vLLM 0.19.0, CUDA graphs; ai-dynamo/aiconfigurator@095f58a51c systems/data/h100_sxm/gemm", how: seen}
  gemm-a40: {text: "Fit to 600 of 21,756 products of A40 in microsoft/vidur data/profiling/compute/a40", how: seen}
  attention-a100: {text: "Fit to fused attention of A100 SXM4 80GB, vLLM 0.14.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/a100_sxm/attention", how: seen}
  attention-h100: {text: "Fit to fused attention of H100 SXM5 80GB, vLLM 0.19.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/h100_sxm/attention", how: seen}
  attention-as-a100: {text: "No table of A40 attention: the shares of A100", how: assumed}
  memory-vidur: {text: "Fit to norm, residual, activation, rotary and embedding kernels of the device in microsoft/vidur data/profiling/compute, 1,200 rows of each; operands may be in the cache, as in a model where the kernel before wrote them; optimizer as elementwise", how: seen}
  stream-limit: {text: "Residual kernels of the table exceed the memory bandwidth, so were partly cached: 0.9 of it taken, about what BabelStream reaches", how: assumed}
  as-16-bit: {text: "No table of these precisions on this device: the shares of the peak that 16-bit products reach (8-bit: H100's fp8 where there is one)", how: assumed}
entries:
"""  # noqa: E501


def as_yaml(curves: CurveSet) -> str:
    """Write a set as an entry of the data file."""
    name = curves.name
    attention = "attention-as-a100" if name == "a40" else f"attention-{name}"
    keys = {"gemm": f"gemm-{name}"}
    keys |= dict.fromkeys(("gemm.tf32", "gemm.fp32", "gemm.fp8", "gemm.int8"), "as-16-bit")
    if name == "h100":
        keys["gemm.fp8"] = "gemm-h100"
    keys |= dict.fromkeys(("prefill_attention", "grouped_decode", "plain_decode"), attention)
    keys["memory"] = "memory-vidur"
    if curves.memory["elementwise"].efficiency == STREAM_LIMIT:
        keys["memory.elementwise"] = "stream-limit"
    sources = ", ".join(f"{key}: {value}" for key, value in keys.items())
    lines = [f"  {name}:", f"    sources: {{{sources}}}", "    gemm:"]
    lines.append(f"      bf16: &{name}-16 {flow(curves.gemm['bf16'])}")
    lines += [f"      {precision}: *{name}-16" for precision in ("fp16", "tf32", "fp32")]
    if "fp8" in curves.gemm:
        lines += [f"      fp8: &{name}-8 {flow(curves.gemm['fp8'])}", f"      int8: *{name}-8"]
    else:
        lines += [f"      {precision}: *{name}-16" for precision in ("fp8", "int8")]
    for field in ("prefill_attention", "grouped_decode", "plain_decode"):
        lines.append(f"    {field}: {flow(getattr(curves, field))}")
    lines.append("    memory:")
    for kind in ("norm", "activation", "embedding", "elementwise"):
        anchor = f"&{name}-stream " if kind == "elementwise" else ""
        lines.append(f"      {kind}: {anchor}{flow(curves.memory[kind])}")
    lines.append(f"      optimizer: *{name}-stream")
    return "\n".join(lines)


def flow(curve: Any) -> str:
    values = {spec.name: getattr(curve, spec.name) for spec in fields(curve)}
    parts = (f"{name}: {value if value > 1e-8 else 0.0:.4g}" for name, value in values.items())
    return "{" + ", ".join(parts).replace("e-0", "e-") + "}"


def shape_class(row: Row) -> str:
    operator = row.operator
    if row.more:
        return "mixture of experts"
    if operator.kind != "gemm":
        return operator.kind
    m = operator.shape.m  # type: ignore[union-attr]
    return "gemm m<=64" if m <= 64 else "gemm 64<m<1024" if m < 1024 else "gemm m>=1024"


def report(tables: Tables) -> None:
    """Print the error of the frozen curves by device, table, precision and class of shape."""
    print("| device | table | precision | kernels | rows | median | mean | p90 | bias |")
    print("|---|---|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in tables.rows:
        key = (row.device, row.table, row.operator.precision, shape_class(row))
        groups.setdefault(key, []).append(row)
        if row.operator.kind == "attention_decode" and row.operator.bytes_moved > 1.5 * L2_BYTES[row.device]:
            groups.setdefault((*key[:3], "attention_decode beyond L2"), []).append(row)
    for key, rows in sorted(groups.items()):
        curves = Roofline(catalog.accelerator(key[0])).curves
        logs = log_errors(rows, curves)
        errors = np.abs(np.expm1(logs)) * 100
        print(
            f"| {' | '.join(key)} | {len(rows)} | {np.median(errors):.1f} % | {errors.mean():.1f} % "
            f"| {np.quantile(errors, 0.9):.1f} % | {np.expm1(np.median(logs)) * 100:+.1f} % |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="folder of the measured tables")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--fit", action="store_true", help="print efficiency.yaml")
    task.add_argument("--report", action="store_true", help="print the error of the catalogue's curves")
    options = parser.parse_args()
    tables = Tables(options.truth)
    if options.report:
        report(tables)
        return
    print(HEADER, end="")
    fitted: dict[str, CurveSet] = {}
    for name in SETS:
        begin = replace(fitted["a100"], gemm={}) if name == "a40" else unfitted()
        fitted[name] = fit_set(name, tables, begin)
        print(as_yaml(fitted[name]))


if __name__ == "__main__":
    main()
