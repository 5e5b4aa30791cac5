"""What an engine step of an LLM replica costs on its GPUs, by the roofline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.cost import transformer
from clustersim.cost.number_formats import NumberFormats
from clustersim.cost.roofline import KernelTime
from clustersim.cost.serving import memory as serving_memory
from clustersim.cost.serving.adapter_mix import AdapterMix
from clustersim.cost.serving.data_groups import GroupLoad
from clustersim.cost.serving.layout import ServingLayout
from clustersim.cost.serving.stage import LayerCost
from clustersim.cost.serving.step_work import StepWork

__all__ = ["ServingCost"]

_KEPT_SIZES = 1 << 16


class ServingCost:
    """Bytes and seconds of a model served by one replica, per GPU.

    Parameters
    ----------
    model
        A decoder.
    accelerator
        The GPU.
    precision, tensor
        Short for `NumberFormats(precision=…)` and `ServingLayout(tensor=…)`.
    layout
        How the replica lies on its GPUs.
    formats
        Formats of weights, activations and KV cache.
    adapters
        Low-rank adapters; None: none.
    draft
        A smaller model that guesses tokens, whole on one of the GPUs; None: none.
    prompt_attention_times, narrow_product_times
        As `LayerCost` takes them.

    **Valid when** one kernel at a time has the GPU.
    **Checked by:** tests/workloads/test_inference_cost.py, tests/cost/test_serving_layout.py.
    """

    def __init__(
        self,
        model: TransformerModel,
        accelerator: Accelerator,
        *,
        precision: str = "bf16",
        tensor: int = 1,
        layout: ServingLayout | None = None,
        formats: NumberFormats | None = None,
        adapters: AdapterMix | None = None,
        draft: ServingCost | None = None,
        prompt_attention_times: float = 1.0,
        narrow_product_times: float = 1.0,
    ) -> None:
        self.model = model
        self.accelerator = accelerator
        self.layout = layout or ServingLayout(tensor=tensor)
        self.formats = formats or NumberFormats(precision=precision)
        self.draft = draft
        self.prompt_attention_times = prompt_attention_times
        self.narrow_product_times = narrow_product_times
        self.layers = LayerCost(
            model,
            accelerator,
            layout=self.layout,
            formats=self.formats,
            adapters=adapters,
            prompt_attention_times=prompt_attention_times,
            narrow_product_times=narrow_product_times,
        )
        self._sizes = self.layout.stage_sizes(model.layers)
        self._runs = self.layout.stages(model)
        self._last = self.layout.pipeline - 1
        self._bodies: dict[tuple[int, int, int, int], KernelTime] = {}
        self._heads: dict[int, KernelTime] = {}
        self._layers: dict[tuple[int, int, int, int], KernelTime] = {}
        self._works: dict[tuple[int, int], StepWork] = {}

    def in_layout(self, layout: ServingLayout) -> ServingCost:
        """Return the cost of the same model in another layout."""
        return ServingCost(
            self.model,
            self.accelerator,
            layout=layout,
            formats=self.formats,
            adapters=self.layers.adapters,
            draft=self.draft,
            prompt_attention_times=self.prompt_attention_times,
            narrow_product_times=self.narrow_product_times,
        )

    # ---- memory

    @cached_property
    def stage_weight_bytes(self) -> tuple[float, ...]:
        """Bytes of weights on each GPU of each stage, with those of the draft model."""
        runs = self._runs
        draft = self.draft.weight_bytes if self.draft else 0.0
        return tuple(
            serving_memory.stage_weight_bytes(
                self.model,
                stage_runs,
                layout=self.layout,
                formats=self.formats,
                first=stage == 0,
                last=stage == len(runs) - 1,
            )
            + draft
            + self._adapter_bytes(stage)
            for stage, stage_runs in enumerate(runs)
        )

    def _adapter_bytes(self, stage: int) -> float:
        adapters = self.layers.adapters
        if adapters is None:
            return 0.0
        return adapters.resident * self._sizes[stage] * self._adapter_layer_bytes

    @property
    def _adapter_layer_bytes(self) -> float:
        adapters = self.layers.adapters
        assert adapters is not None
        return adapters.layer_bytes(self.model, precision=self.formats.precision, tensor=self.layout.tensor)

    @cached_property
    def weight_bytes(self) -> float:
        """Bytes of weights on each GPU of the stage that has most."""
        return max(self.stage_weight_bytes)

    def stage_kv_bytes_per_token(self, stage: int) -> float:
        """Return the bytes of KV cache per token on each GPU of a stage."""
        own = serving_memory.kv_bytes_per_token(
            self.model, layers=self._sizes[stage], layout=self.layout, formats=self.formats
        )
        return own + (self.draft.kv_bytes_per_token if self.draft else 0.0)

    @cached_property
    def kv_bytes_per_token(self) -> float:
        """Bytes of KV cache per token on each GPU, all layers of the largest stage."""
        return self.stage_kv_bytes_per_token(0)

    def activation_bytes(self, tokens: int, *, sampled: int) -> float:
        """Return the working memory of a step on each GPU; see `serving_memory.activation_bytes`."""
        return serving_memory.activation_bytes(
            self.model, tokens, sampled=sampled, layout=self.layout, formats=self.formats
        )

    # ---- messages

    @property
    def all_reduces(self) -> int:
        """Tensor-parallel all-reduces of one step: after attention and after each feed-forward part."""
        return 2 * self.model.layers if self.layout.tensor > 1 else 0

    def all_reduce_bytes(self, tokens: int) -> float:
        """Return the bytes of one all-reduce of a step of `tokens`: tokens · hidden · element."""
        return transformer.all_reduce_bytes(self.model, tokens=tokens, precision=self.formats.precision)

    # ---- seconds

    def stage_seconds(
        self, stage: int, load: GroupLoad, *, routed: int, queries: int = 1
    ) -> tuple[float, float]:
        """Return how long arithmetic and memory hold the GPUs of a stage in a step.

        Parameters
        ----------
        load
            Of the busiest data group.
        routed
            Tokens of all data groups.
        queries
            Tokens that each decode computes: more than 1 where guesses are checked.
        """
        decodes, context_sum, chunks, sampled, tokens = load
        layers = self._sizes[stage]
        requests = decodes + len(chunks) if self.layers.adapters else 0
        key = stage, tokens, routed, requests
        body = self._bodies.get(key) or self._body(*key)
        compute_s, memory_s = body.compute_s, body.memory_s
        if sampled and stage == self._last:
            head = self._heads.get(sampled) or self._head(sampled)
            compute_s += head.compute_s
            memory_s += head.memory_s
        if chunks:
            prompts = self.layers.prefill(chunks)
            compute_s += layers * prompts.compute_s
            memory_s += layers * prompts.memory_s
        if decodes:
            fixed, per_token = self.layers.decode_line(decodes, queries=queries)
            compute_s += layers * (fixed.compute_s + context_sum * per_token.compute_s)
            memory_s += layers * (fixed.memory_s + context_sum * per_token.memory_s)
        return compute_s, memory_s

    def _body(self, stage: int, tokens: int, routed: int, requests: int) -> KernelTime:
        """Return the time of all that does not depend on what was said before, but for the logits.

        Projections, feed-forward, norms, rotary embedding, residual adds and KV writes of the layers;
        the embedding in the first stage.
        """
        total = KernelTime.ZERO
        for layer, alike in self._runs[stage]:
            total += self._layer(layer, tokens, routed, requests) * alike
        if stage == 0:
            total += self.layers.seconds(self.layers.embedding_operators(tokens))
        if len(self._bodies) >= _KEPT_SIZES:
            self._bodies.clear()
        self._bodies[stage, tokens, routed, requests] = total
        return total

    def _head(self, sampled: int) -> KernelTime:
        """Return the time of logits and sampling of so many rows."""
        known = self._heads[sampled] = self.layers.seconds(self.layers.output_operators(sampled))
        return known

    def _layer(self, layer: int, tokens: int, routed: int, requests: int) -> KernelTime:
        key = layer, tokens, routed, requests
        known = self._layers.get(key)
        if known is None:
            if len(self._layers) >= _KEPT_SIZES:
                self._layers.clear()
            operators = self.layers.layer_operators(layer, tokens=tokens, routed=routed, requests=requests)
            known = self._layers[key] = self.layers.seconds(operators)
        return known

    def dense_step(self, tokens: int, sampled: int) -> KernelTime:
        """Return the time of a step without attention, all stages, for a replica of one data group."""
        stages = range(self.layout.pipeline)
        return _sum(self._body(stage, tokens, tokens, 0) for stage in stages) + self._head(sampled)

    def decode_attention(self, batch: int, context_sum: float) -> KernelTime:
        """Return the attention time of a decode step, all layers: affine in the context sum.

        Parameters
        ----------
        batch
            Requests of a data group that decode one token each.
        context_sum
            Tokens that they attend to, all together.
        """
        fixed, per_token = self.decode_line(batch)
        return fixed + per_token * context_sum

    def decode_line(self, batch: int, *, queries: int = 1) -> tuple[KernelTime, KernelTime]:
        """Return intercept and slope of `decode_attention` over the context sum."""
        fixed, per_token = self.layers.decode_line(batch, queries=queries)
        return fixed * self.model.layers, per_token * self.model.layers

    def prefill_attention(self, chunks: Sequence[tuple[int, int]]) -> KernelTime:
        """Return the attention time of prompt chunks (new tokens, past tokens), all layers."""
        return self.layers.prefill(chunks) * self.model.layers

    def adapter_swap_s(self, prompts: int) -> float:
        """Return how long a step with so many new prompts waits for adapters from the host."""
        adapters = self.layers.adapters
        if adapters is None or not prompts:
            return 0.0
        return adapters.swap_s(self._adapter_layer_bytes * self.model.layers, prompts=prompts)

    # ---- work

    def dense_work(self, tokens: int, sampled: int) -> StepWork:
        """Return FLOPs and bytes of everything but attention, over all GPUs of the replica.

        Tokens are those of the whole replica, in data groups of equal size.
        """
        known = self._works.get((tokens, sampled))
        if known is None:
            if len(self._works) >= _KEPT_SIZES:
                self._works.clear()
            known = self._works[tokens, sampled] = self._dense_work(tokens, sampled)
        return known

    def _dense_work(self, tokens: int, sampled: int) -> StepWork:
        groups, layers = self.layout.data, self.layers
        total = StepWork()
        for runs in self._runs:
            for layer, alike in runs:
                operators = layers.layer_operators(layer, tokens=tokens / groups, routed=tokens, requests=0)
                total = total.plus(StepWork.of(operators).times(alike))
        total = total.plus(StepWork.of(layers.embedding_operators(tokens / groups)))
        if sampled:
            total = total.plus(StepWork.of(layers.output_operators(sampled / groups)))
        return total.times(self.layout.ranks)

    @cached_property
    def context_work(self) -> StepWork:
        """FLOPs and bytes of decode attention per token attended to, over all GPUs of the replica."""
        low, high = (StepWork.of([self.layers.decode_operator(1, context)]) for context in (1, 2))
        one = StepWork(high.flops - low.flops, high.bytes_moved - low.bytes_moved)
        return one.times(self.model.layers * self.layout.tensor)

    @property
    def peak_flops(self) -> float:
        """FLOP/s of the replica's GPUs, in the format of activations: what MFU is relative to."""
        return self.layout.gpus * self.accelerator.peak(self.formats.activations or self.formats.precision)

    @property
    def peak_bytes_per_s(self) -> float:
        """Memory bandwidth of the replica's GPUs: what MBU is relative to."""
        return self.layout.gpus * self.accelerator.memory_bandwidth_bytes_per_s


def _sum(times: Iterable[KernelTime]) -> KernelTime:
    return sum(times, start=KernelTime.ZERO)
