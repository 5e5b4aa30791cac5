"""Writes `efficiency.yaml`: sets of curves, with the source of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from clustersim.cost.efficiency import CurveSet, GemmCurve, MemoryCurve

__all__ = ["HEADER", "as_yaml"]

HEADER = """\
# Efficiency curves: what a device family reaches of its peaks; clustersim.cost.efficiency has the equations.
# Made by tools/fit_efficiency.py. Times in seconds.
sources:
  gemm-a100: {text: "Fit to 490 products of A100 SXM4 80GB, vLLM 0.14.0, CUDA graphs; ai-dynamo/aiconfigurator@095f58a51c systems/data/a100_sxm/gemm", how: seen}
  gemm-h100: {text: "Fit to 490 products each of bf16 and fp8 of H100 SXM5 80GB, vLLM 0.19.0, CUDA graphs; ai-dynamo/aiconfigurator@095f58a51c systems/data/h100_sxm/gemm", how: seen}
  gemm-a40: {text: "Fit to 600 of 21,756 products of A40 in microsoft/vidur data/profiling/compute/a40", how: seen}
  gemm-v100: {text: "Fit to 152 products of baidu-research/DeepBench results/train/DeepBench_NV_V100.xlsx, in fp16 with sums in fp32 (DGX-1, CUDA 10.1, 2019); those of rows that are no multiples of 16 bytes lie on the same curve", how: seen}
  single-v100: {text: "Fit to 152 products in fp32 of baidu-research/DeepBench results/train/DeepBench_NV_V100.xlsx (DGX-1, CUDA 10.1, 2019)", how: seen}
  single-as-v100: {text: "Products in fp32 use no tensor cores on any device: the shares of the fp32 peak that V100 reaches", how: assumed}
  experts-a100: {text: "Fit to fused layers of experts (power-law routing, 16 rows per expert or more) of A100 SXM4 80GB, vLLM 0.14.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/a100_sxm/moe", how: seen}
  experts-h100: {text: "Fit to 56 fused layers of experts (balanced routing) each of bf16 and fp8 of H100 SXM5 80GB, vLLM 0.19.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/h100_sxm/moe", how: seen}
  attention-a100: {text: "Fit to fused attention of A100 SXM4 80GB, vLLM 0.14.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/a100_sxm/attention; narrow heads: FlashAttention-2 on H100 in Shah et al., FlashAttention-3, 2024, figure 5", how: seen}
  attention-h100: {text: "Fit to fused attention of H100 SXM5 80GB, vLLM 0.19.0; ai-dynamo/aiconfigurator@095f58a51c systems/data/h100_sxm/attention; narrow heads: FlashAttention-3 and cuDNN in Shah et al., FlashAttention-3, 2024, figure 5", how: seen}
  attention-as-a100: {text: "No table of attention on this device: the shares of A100", how: assumed}
  backward-h100: {text: "Fit to the backward pass of FlashAttention-3 and cuDNN on H100 SXM5 80GB, heads of 64 and 128, 512 to 16k tokens: Shah et al., FlashAttention-3, 2024, figure 6", how: seen}
  backward-a100: {text: "Slower than A100's forward pass by what FlashAttention-2 is on H100 (Shah et al., 2024, figures 5 and 6); Dao, FlashAttention-2, 2023, has up to 73 % of A100's peak forward and 63 % backward", how: assumed}
  memory-vidur: {text: "Fit to norm, residual, activation, rotary and embedding kernels of the device in microsoft/vidur data/profiling/compute, 1,200 rows of each; operands may be in the cache, as in a model where the kernel before wrote them; optimizer as elementwise", how: seen}
  stream-limit: {text: "Residual kernels of the table exceed the memory bandwidth, so were partly cached: 0.9 of it taken, about what BabelStream reaches", how: assumed}
  apex: {text: "Layer norm of 16k tokens of 1,024 in fp16 on A100 40GB: 1,258 GB/s forward, 1,163 GB/s backward of 1,555 (NVIDIA/apex pull request 1037), in training two passes of one and three to five of the other; latency of the stream; other devices as A100", how: seen}
  alignment-a100: {text: "Products of rows that are multiples of 16, 8 or 4 and 2 bytes beside those of whole cache lines, on A100 SXM4 40GB, PyTorch 1.13: 88 of the raw rates of Anthony et al., 'The Case for Co-Designing Model Architectures with Hardware', arXiv:2401.14489 (EleutherAI/cookbook@e6b8f2bf4b sizing/results/transformer_data), one vocabulary projection and attention's batched products with heads of 64 to 216", how: seen}
  alignment-as-a100: {text: "No table of such rows on this device: as A100", how: assumed}
  as-16-bit: {text: "No table of these precisions on this device: the shares of the peak that 16-bit products reach (8-bit: H100's fp8 where there is one)", how: assumed}
  memory-as-a100: {text: "No table of V100's memory-bound kernels and attention: the shares of A100", how: assumed}
  experts-as-dense: {text: "No table of fused experts on this device: the shares of its dense products", how: assumed}
entries:
"""  # noqa: E501

FUSED_NORM_EFFICIENCY = 0.77
"""Of the memory bandwidth: source `apex`."""


_ALIGNMENTS = {"a100": "alignment-a100", "v100": "gemm-v100"}

MEASURED_EXPERTS = ("a100", "h100")
"""Sets with a table of fused experts."""


def as_yaml(curves: CurveSet, *, single: GemmCurve, alignment: Mapping[int, float], limit: float) -> str:
    """Write a set as an entry of the data file; `single` is that of products in fp32."""
    name = curves.name
    sources = ", ".join(f"{key}: {value}" for key, value in _sources(curves, limit).items())
    lines = [f"  {name}:", f"    sources: {{{sources}}}"]
    slower = ", ".join(f"{size}: {factor:.4g}" for size, factor in alignment.items())
    products = _products(curves.gemm, name, single=single)
    lines += [f"    alignment: {{{slower}}}", "    gemm:", *products]
    if name in MEASURED_EXPERTS:
        lines += ["    expert_gemm:", *_products(curves.expert_gemm, f"{name}-experts")]
    else:
        lines += ["    expert_gemm:", *_aliases(name, eight="fp8" in curves.gemm)]
    for field in ("prefill_attention", "backward_attention", "grouped_decode", "plain_decode"):
        lines.append(f"    {field}: {_flow(getattr(curves, field))}")
    lines.append("    memory:")
    stream = curves.memory["elementwise"]
    fused = MemoryCurve(latency_s=stream.latency_s, efficiency=FUSED_NORM_EFFICIENCY)
    for kind, curve in (*curves.memory.items(), ("fused_norm", fused)):
        anchor = f"&{name}-stream " if kind == "elementwise" else ""
        lines.append(f"      {kind}: {anchor}{_flow(curve)}")
    lines.append(f"      optimizer: *{name}-stream")
    return "\n".join(lines)


def _sources(curves: CurveSet, limit: float) -> dict[str, str]:
    name = curves.name
    measured = name in MEASURED_EXPERTS
    attention = f"attention-{name}" if measured else "attention-as-a100"
    keys = {"gemm": f"gemm-{name}"}
    keys["alignment"] = _ALIGNMENTS.get(name, "alignment-as-a100")
    keys |= dict.fromkeys(("gemm.tf32", "gemm.fp8", "gemm.int8"), "as-16-bit")
    keys["gemm.fp32"] = "single-v100" if name == "v100" else "single-as-v100"
    if name == "h100":
        keys["gemm.fp8"] = "gemm-h100"
    keys["expert_gemm"] = f"experts-{name}" if measured else "experts-as-dense"
    keys |= dict.fromkeys(("prefill_attention", "grouped_decode", "plain_decode"), attention)
    keys["backward_attention"] = "backward-h100" if name == "h100" else "backward-a100"
    keys["memory"] = "memory-as-a100" if name == "v100" else "memory-vidur"
    keys["memory.fused_norm"] = "apex"
    if curves.memory["elementwise"].efficiency == limit:
        keys["memory.elementwise"] = "stream-limit"
    return keys


def _products(curves: Mapping[str, GemmCurve], anchor: str, *, single: GemmCurve | None = None) -> list[str]:
    """Curves by precision: those without measurements are another one's."""
    lines = [f"      bf16: &{anchor}-16 {_flow(curves['bf16'])}"]
    lines += [f"      {precision}: *{anchor}-16" for precision in ("fp16", "tf32")]
    lines.append(f"      fp32: {f'*{anchor}-16' if single is None else _flow(single)}")
    if "fp8" in curves:
        return [*lines, f"      fp8: &{anchor}-8 {_flow(curves['fp8'])}", f"      int8: *{anchor}-8"]
    return [*lines, *(f"      {precision}: *{anchor}-16" for precision in ("fp8", "int8"))]


def _aliases(anchor: str, *, eight: bool) -> list[str]:
    lines = [f"      {precision}: *{anchor}-16" for precision in ("bf16", "fp16", "tf32", "fp32")]
    return [*lines, *(f"      {name}: *{anchor}-{8 if eight else 16}" for name in ("fp8", "int8"))]


def _flow(curve: Any) -> str:
    values = {spec.name: getattr(curve, spec.name) for spec in fields(curve) if spec.name != "alignment"}
    parts = (f"{name}: {value if value > 1e-8 else 0.0:.4g}" for name, value in values.items())
    return "{" + ", ".join(parts).replace("e-0", "e-") + "}"
