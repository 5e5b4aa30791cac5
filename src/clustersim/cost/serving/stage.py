"""What the layers of one pipeline stage of a serving replica cost on one of its GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.cost import transformer
from clustersim.cost.efficiency import AttentionWork, Roofs
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.operators import Operator, element_bytes, elementwise
from clustersim.cost.roofline import KernelTime, Roofline, SustainedRoofline
from clustersim.cost.serving.adapter_mix import AdapterMix
from clustersim.cost.serving.experts import expert_operators
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.step_work import StepWork

__all__ = ["LayerCost", "ServingRoofline"]

_PROBE_TOKENS = 1 << 20

SPARSE_SPEEDUP = 1.6
"""How many times faster 2:4 sparse products are where arithmetic bounds them: between 1.3 and 1.9 over the
shapes of transformers, nearer to 2 only for the largest (Mishra et al., "Accelerating Sparse Deep Neural
Networks", arXiv:2104.08378, figure 3; NVIDIA, "Exploiting Ampere Structured Sparsity with cuSPARSELt", 2020;
recalled)."""

SAMPLING_BYTES = 32
"""Bytes moved per logit by sampling: conversion to fp32, temperature, softmax, random numbers, division,
argmax; eight passes of four bytes (vllm/model_executor/layers/sampler.py, counted from memory)."""


_NARROW = ("fp8", "int8")


class ServingRoofline(SustainedRoofline):
    """A device that serves: 16-bit products at the rate that the power limit lets it hold.

    8-bit products run as in the tables: what devices hold of them is extrapolated from 16 bits, and MLPerf's
    runs of Llama-2-70B on H200 average more (1.22 PFLOP/s over everything).

    Parameters
    ----------
    formats
        2:4 sparse products are `SPARSE_SPEEDUP` times faster where arithmetic bounds them.
    narrow_product_times
        How many times longer 8-bit products take in the engine's library than in the device's curves.

    **Valid when** batches follow each other for longer than some milliseconds, as under load and in long
    prompts.
    """

    def __init__(
        self, accelerator: Accelerator, *, formats: NumberFormats, narrow_product_times: float = 1.0
    ) -> None:
        super().__init__(accelerator)
        self._formats = formats
        self._narrow_times = narrow_product_times

    def roofs(self, operator: Operator) -> Roofs:
        """Return the three times of one execution."""
        if operator.precision in _NARROW:
            roofs = Roofline.roofs(self, operator)
            roofs = roofs._replace(compute_s=roofs.compute_s * self._narrow_times)
        else:
            roofs = super().roofs(operator)
        if self._formats.sparse and self._formats.covers(operator):
            return roofs._replace(compute_s=roofs.compute_s / SPARSE_SPEEDUP)
        return roofs


class LayerCost:
    """Seconds and work of single layers, of the embedding and of the logits, on one GPU.

    Every GPU of a tensor group does the same work on its part of heads and widths, so that one GPU
    stands for all.

    Parameters
    ----------
    layout, formats
        How the replica lies on its GPUs, and in which formats.
    adapters
        Low-rank adapters; None: none.
    prompt_attention_times, narrow_product_times
        How many times longer the engine's attention of prompts, and its 8-bit products, take than in the
        device's curves.
    """

    def __init__(
        self,
        model: TransformerModel,
        accelerator: Accelerator,
        *,
        layout: ServingLayout,
        formats: NumberFormats,
        adapters: AdapterMix | None = None,
        prompt_attention_times: float = 1.0,
        narrow_product_times: float = 1.0,
    ) -> None:
        self.prompt_attention_times = prompt_attention_times
        self.model = model
        self.layout = layout
        self.formats = formats
        self.adapters = adapters
        self.roofline = ServingRoofline(
            accelerator, formats=formats, narrow_product_times=narrow_product_times
        )
        self._prompts: dict[tuple[int, int], AttentionWork] = {}
        self._single: dict[tuple[int, int], KernelTime] = {}
        self._decodes: dict[tuple[int, int], tuple[KernelTime, KernelTime]] = {}

    def layer_operators(self, layer: int, *, tokens: float, routed: float, requests: float) -> list[Operator]:
        """Return everything of one layer but attention over the cache itself.

        Parameters
        ----------
        tokens
            Of the GPU's data group.
        routed
            Of all data groups of the stage.
        requests
            Of the data group, for adapters.
        """
        operators = [
            kept for plain in self._plain(layer, tokens, routed) for kept in self.formats.apply(plain)
        ]
        size = 2 * tokens * self._kv_token_bytes
        operators.append(elementwise("attention.cache", bytes_moved=size, precision=self.formats.precision))
        if self.adapters is not None:
            operators += self.adapters.layer_operators(
                self.model,
                tokens=tokens,
                requests=requests,
                precision=self.formats.precision,
                tensor=self.layout.tensor,
            )
        return operators

    def _plain(self, layer: int, tokens: float, routed: float) -> Iterator[Operator]:
        model, layout, precision = self.model, self.layout, self.formats.precision
        operators = transformer.layer_operators(
            model, tokens=tokens, layer=layer, precision=precision, tensor=layout.tensor
        )
        spread = model.moe is not None and layer >= model.moe.dense_layers and layout != self._one_group
        for operator in operators:
            if not (spread and operator.name.startswith("moe.")):
                yield operator
        if spread:
            yield from expert_operators(
                model, tokens=tokens, routed=routed, precision=precision, layout=layout
            )

    @property
    def _one_group(self) -> ServingLayout:
        """The layout in which experts are as every other layer: divided over the tensor group."""
        return replace(self.layout, data=1, expert=1, expert_load=1.0)

    @property
    def _kv_token_bytes(self) -> float:
        kv_heads = max(1.0, self.model.kv_heads / self.layout.tensor)
        return self.formats.kv_token_bytes(self.model, kv_heads=kv_heads)

    def embedding_operators(self, tokens: float) -> list[Operator]:
        """Return the look-up of token embeddings."""
        return transformer.embedding_operators(
            self.model, tokens=tokens, precision=self.formats.precision, tensor=self.layout.tensor
        )

    def output_operators(self, sampled: float) -> list[Operator]:
        """Return the final norm, the logits of `sampled` rows, and sampling from them."""
        model, precision = self.model, self.formats.precision
        operators = transformer.output_operators(
            model, tokens=sampled, precision=precision, tensor=self.layout.tensor
        )
        moved = sampled * model.vocab * SAMPLING_BYTES
        return [*operators, elementwise("output.sampling", bytes_moved=moved, precision=precision)]

    def decode_operator(self, batch: float, context_sum: float, *, queries: int = 1) -> Operator:
        """Return attention of `queries` new tokens in each of `batch` sequences, in one layer.

        *Equation.* The cache of `context_sum` tokens is read once, in its own format, whatever the
        number of queries; FLOPs, queries and results are `queries` times those of one.
        """
        operator = transformer.attention_decode(
            self.model,
            batch=batch,
            context_sum=context_sum,
            precision=self.formats.precision,
            tensor=self.layout.tensor,
        )
        kv_bytes = self._cache_bytes_at(self.formats.precision) * context_sum
        ends = operator.bytes_moved - kv_bytes
        moved = queries * ends + self._kv_token_bytes * context_sum
        return replace(operator, flops=queries * operator.flops, bytes_moved=moved)

    def _cache_bytes_at(self, precision: str) -> float:
        """Return what the cache of one token in one layer takes in a plain precision."""
        return (
            transformer.kv_bytes_per_token(self.model, precision=precision, tensor=self.layout.tensor)
            / self.model.layers
        )

    def decode_line(self, batch: int, *, queries: int = 1) -> tuple[KernelTime, KernelTime]:
        """Return intercept and slope, over the context sum, of decode attention in one layer."""
        known = self._decodes.get((batch, queries))
        if known is None:
            low, high = (
                self.roofline.kernel(self.decode_operator(batch, context, queries=queries))
                for context in (_PROBE_TOKENS, 2 * _PROBE_TOKENS)
            )
            per_token = (high + low * -1.0) * (1.0 / _PROBE_TOKENS)
            known = self._decodes[batch, queries] = (low * 2.0 + high * -1.0, per_token)
        return known

    def prefill(self, chunks: Sequence[tuple[int, int]]) -> KernelTime:
        """Return the attention time of prompt chunks (new tokens, past tokens) in one layer.

        All chunks of a step are one kernel (sequences of any length side by side, as in
        FlashAttention): short prompts fill the GPU together.
        """
        if not chunks:
            return KernelTime.ZERO
        if len(chunks) > 1:
            return self._prompts_seconds(reduce(AttentionWork.beside, map(self._prompt, chunks)))
        known = self._single.get(chunks[0])
        if known is None:
            if len(self._single) >= _KEPT_CHUNKS:
                self._single.clear()
            known = self._single[chunks[0]] = self._prompts_seconds(self._prompt(chunks[0]))
        return known

    def _prompts_seconds(self, work: AttentionWork) -> KernelTime:
        return self.roofline.attention(work) * self.prompt_attention_times

    def prefill_operator(self, chunk: tuple[int, int]) -> Operator:
        """Return attention of one prompt chunk in one layer."""
        return transformer.attention_prefill(
            self.model,
            queries=chunk[0],
            past=chunk[1],
            precision=self.formats.precision,
            tensor=self.layout.tensor,
        )

    def _prompt(self, chunk: tuple[int, int]) -> AttentionWork:
        known = self._prompts.get(chunk)
        if known is None:
            if len(self._prompts) >= _KEPT_CHUNKS:
                self._prompts.clear()
            known = self._prompts[chunk] = self.roofline.attention_work(self.prefill_operator(chunk))
        return known

    def seconds(self, operators: Sequence[Operator]) -> KernelTime:
        """Return the time of operators one after the other."""
        return self.roofline.stream(operators)

    def work(self, operators: Sequence[Operator]) -> StepWork:
        """Return FLOPs and bytes of operators."""
        return StepWork.of(operators)

    @property
    def element_bytes(self) -> int:
        """Bytes of an activation between layers."""
        return element_bytes(self.formats.precision)


_KEPT_CHUNKS = 1 << 16
