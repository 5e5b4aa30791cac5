"""What an engine step of an LLM replica costs on one of its GPUs, by the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce

from clustersim.catalog.accelerators import Accelerator
from clustersim.catalog.models import TransformerModel
from clustersim.cost import transformer
from clustersim.cost.efficiency import AttentionWork
from clustersim.cost.operators import ELEMENT_BYTES, Operator
from clustersim.cost.roofline import KernelTime, Roofline
from clustersim.cost.step_timer import DecodeRun

__all__ = ["RooflineTimer", "ServingCost"]

_LOGIT_BYTES = 4
_PROBE_TOKENS = 1 << 20
_NO_STEP_ENDS_IT = 2**62


class ServingCost:
    """Bytes and seconds of a model served in tensor parallel, per GPU.

    Every GPU of a replica does the same work on its part of the heads and of the feed-forward
    width, so that one GPU stands for all.

    Parameters
    ----------
    model
        A decoder.
    accelerator
        The GPU.
    precision
        Of weights, activations and KV cache.
    tensor
        GPUs of the replica.

    Valid when kernels are launched from captured graphs, so that launching them costs nothing
    beyond the engine's host overhead per step.

    Checked by: tests/workloads/test_inference_cost.py.
    """

    def __init__(
        self, model: TransformerModel, accelerator: Accelerator, *, precision: str, tensor: int = 1
    ) -> None:
        self.model = model
        self.precision = precision
        self.tensor = tensor
        self._roofline = Roofline(accelerator)
        self._dense: dict[tuple[int, int], KernelTime] = {}
        self._prefill: dict[tuple[int, int], AttentionWork] = {}
        self._decode: dict[int, tuple[KernelTime, KernelTime]] = {}

    @cached_property
    def weight_bytes(self) -> float:
        """Bytes of weights on each GPU."""
        return transformer.weight_bytes(self.model, precision=self.precision, tensor=self.tensor)

    @cached_property
    def kv_bytes_per_token(self) -> float:
        """Bytes of KV cache per token on each GPU, all layers."""
        return transformer.kv_bytes_per_token(self.model, precision=self.precision, tensor=self.tensor)

    @property
    def all_reduces(self) -> int:
        """All-reduces of one step: after attention and after the feed-forward part of each layer."""
        return 2 * self.model.layers if self.tensor > 1 else 0

    def all_reduce_bytes(self, tokens: int) -> float:
        """Return the bytes of one all-reduce of a step of `tokens`: tokens · hidden · element."""
        return transformer.all_reduce_bytes(self.model, tokens=tokens, precision=self.precision)

    def activation_bytes(self, tokens: int, *, sampled: int) -> float:
        """Return the working memory of a step on each GPU.

        *Equation.* tokens · e · (3·hidden + max(q + 2·kv, 2·ffn)/tensor) + sampled · vocab · 4:
        the residual stream, the input and the output of a block, the widest intermediate result
        (query, key and value; or gate and up projection), and fp32 logits gathered on each GPU.

        Valid when attention is fused (no matrix of tokens × tokens) and buffers are reused from
        layer to layer.
        """
        model, moe = self.model, self.model.moe
        attention = (model.heads + 2 * model.kv_heads) * model.head_dim
        ffn = moe.ffn_hidden * (moe.experts_per_token + moe.shared_experts) if moe else model.ffn_hidden
        widest = max(attention, 2 * ffn) / self.tensor
        working = tokens * ELEMENT_BYTES[self.precision] * (3 * model.hidden + widest)
        return working + sampled * model.vocab * _LOGIT_BYTES

    def dense_step(self, tokens: int, sampled: int) -> KernelTime:
        """Return the time of all that depends on the number of tokens alone.

        Projections, feed-forward, norms, rotary embedding, residual adds and KV writes of all
        layers for `tokens`, the embedding, and the logits of `sampled` rows.
        """
        known = self._dense.get((tokens, sampled))
        if known is None:
            known = self._dense[tokens, sampled] = self._dense_step(tokens, sampled)
        return known

    def _dense_step(self, tokens: int, sampled: int) -> KernelTime:
        model, precision, tensor = self.model, self.precision, self.tensor
        total = self._stream(
            transformer.embedding_operators(model, tokens=tokens, precision=precision, tensor=tensor)
        )
        for layer, alike in transformer.layer_groups(model):
            operators = transformer.layer_operators(
                model, tokens=tokens, layer=layer, precision=precision, tensor=tensor
            )
            total += self._stream(operators) * alike
        if sampled:
            total += self._stream(
                transformer.output_operators(model, tokens=sampled, precision=precision, tensor=tensor)
            )
        return total

    def decode_attention(self, batch: int, context_sum: int) -> KernelTime:
        """Return the attention time of a decode step, all layers: affine in the context sum.

        Parameters
        ----------
        batch
            Requests that decode one token each.
        context_sum
            Tokens that they attend to, all together.
        """
        fixed, per_token = self.decode_line(batch)
        return fixed + per_token * context_sum

    def decode_line(self, batch: int) -> tuple[KernelTime, KernelTime]:
        """Return intercept and slope of `decode_attention` over the context sum."""
        known = self._decode.get(batch)
        if known is None:
            low, high = (self._decode_probe(batch, context) for context in (_PROBE_TOKENS, 2 * _PROBE_TOKENS))
            per_token = (high + low * -1.0) * (1.0 / _PROBE_TOKENS)
            known = self._decode[batch] = (low * 2.0 + high * -1.0, per_token)
        return known

    def _decode_probe(self, batch: int, context_sum: int) -> KernelTime:
        operator = transformer.attention_decode(
            self.model, batch=batch, context_sum=context_sum, precision=self.precision, tensor=self.tensor
        )
        return self._stream([operator]) * self.model.layers

    def prefill_attention(self, chunks: Sequence[tuple[int, int]]) -> KernelTime:
        """Return the attention time of prompt chunks (new tokens, past tokens), all layers.

        All chunks of a step are one kernel per layer (sequences of any length side by side, as
        in FlashAttention): short prompts fill the GPU together.
        """
        if not chunks:
            return KernelTime.ZERO
        work = reduce(AttentionWork.beside, map(self._prefill_chunk, chunks))
        return self._roofline.attention(work) * self.model.layers

    def _prefill_chunk(self, chunk: tuple[int, int]) -> AttentionWork:
        known = self._prefill.get(chunk)
        if known is None:
            operator = transformer.attention_prefill(
                self.model, queries=chunk[0], past=chunk[1], precision=self.precision, tensor=self.tensor
            )
            known = self._prefill[chunk] = self._roofline.attention_work(operator)
        return known

    def _stream(self, operators: Sequence[Operator]) -> KernelTime:
        return self._roofline.stream(operators)


class RooflineTimer:
    """Step times from a `ServingCost` and a constant host overhead.

    *Equation.* t = host + dense(tokens, sampled) + decode(b, Σc) + prefill(chunks); with the
    batch unchanged a decode step takes g = slope(b)·b more than the one before.

    Parameters
    ----------
    cost
        Of the model on the GPU.
    host_s
        Seconds per step in which the GPUs wait for the engine's scheduler, input preparation
        and sampling.
    """

    def __init__(self, cost: ServingCost, *, host_s: float) -> None:
        self._cost = cost
        self._host = KernelTime(0.0, 0.0, host_s)

    def step(
        self, *, decodes: int, context_sum: int, chunks: Sequence[tuple[int, int]], sampled: int
    ) -> KernelTime:
        """Return the time of one step; see `StepTimer.step`."""
        tokens = decodes + sum(new for new, _ in chunks)
        total = self._host + self._cost.dense_step(tokens, sampled) + self._cost.prefill_attention(chunks)
        return total + self._cost.decode_attention(decodes, context_sum) if decodes else total

    def decode_run(self, *, decodes: int, context_sum: int) -> DecodeRun:
        """Return the line on which the times of decode steps lie."""
        _, per_token = self._cost.decode_line(decodes)
        first = self.step(decodes=decodes, context_sum=context_sum, chunks=(), sampled=decodes)
        return DecodeRun(first, per_token * decodes, _NO_STEP_ENDS_IT)
