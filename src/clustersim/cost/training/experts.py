"""A mixture of experts in training: router, permutation, exchange of tokens, grouped products.

Every GPU routes its own tokens and sends each to the experts that it visits: an all-to-all among the
expert groups, then, where an expert is divided, an all-gather; results go back the same way. The
backward pass mirrors the forward pass. This is Megatron-LM's all-to-all dispatcher without dropping
or padding, unless a capacity is set.

**Source:** NVIDIA Megatron-LM, megatron/core/transformer/moe (`token_dispatcher.py`, `README.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from clustersim.catalog.models import MoeConfig
from clustersim.cost.operators import GemmShape, Operator, elementwise
from clustersim.cost.training.block import Exchange, Operators, Part, joined, repeated, replayed
from clustersim.cost.training.ffn import activation, dense_part
from clustersim.cost.training.linear import linear
from clustersim.cost.training.passes import TransformerPass, divided

__all__ = ["MixtureParts", "mixture_parts"]

_ROUTER_PASSES = 3
"""fp32 scores are read and written by the softmax, and read by the choice of the largest."""

_SMALL_FORWARD, _SMALL_BACKWARD = 32, 43
"""Kernels of a layer that move next to nothing: loads of the experts and their loss, counts for the exchange
and its exchange, maps of the permutations, probabilities that travel beside the tokens, and all these
backward; with normalisation of queries and keys, and sums of weight gradients of norms. 463,348 kernels in a
step of Qwen3-30B (64 passes, 48 layers, 8 experts per GPU, bf16) are 151 per layer; these are what the others
leave.
**Source:** profile in NVIDIA-NeMo/Megatron-Bridge, skills/nemo-mbridge-perf-moe-comm-overlap/SKILL.md at
067f987d; divided between the passes as `router.py`, `token_dispatcher.py` and `moe_utils.py` of Megatron-Core
0.15 launch them."""


_STREAMS = 4
"""Products of experts that run at a time: `nvte_get_num_compute_streams` of Transformer Engine."""


class MixtureParts(NamedTuple):
    """What every GPU of a tensor group does for all its tokens, and what it does for its experts."""

    common: Part
    experts: Part

    @property
    def part(self) -> Part:
        """Both, without the parameters of the experts, which are counted apart."""
        return self.common + replace(self.experts, parameters=0)


@dataclass(frozen=True)
class _Routing:
    """Token copies on one GPU."""

    own: float
    """Copies of the tokens that this GPU routes."""
    arrived: float
    """Tokens of which some copies are for its experts."""
    computed: float
    """Copies that its experts compute: on the GPU with the busiest experts."""
    size_bytes: float
    """What the busiest GPU takes in from, or sends to, the others of the expert groups."""


def mixture_parts(run: TransformerPass, *, beside: Part) -> MixtureParts:
    """Return the parts of a feed-forward part with experts.

    Parameters
    ----------
    beside
        The attention part: that of another micro-batch can hide the dispatch, as the products of
        its experts can hide the combination (DeepSeek-AI, arXiv:2412.19437, section 3.2.1).

    **Valid when** tokens are spread evenly over the experts of a GPU; `Shard.expert_load` skews the
    load among GPUs.
    **Checked by:** tests/cost/test_training_experts.py.
    """
    moe = _moe(run)
    routing = _routing(run, moe)
    products = _products(run, moe, routing)
    exchanged = _exchanged(run, routing, products, beside)
    shared = Part()
    if moe.shared_experts:
        shared = dense_part(run, width=moe.shared_experts * moe.ffn_hidden, name="shared.")
    router = _router(run, moe) + _small(run, moe)
    common = joined([_permutation(run, routing), shared, _sums(run)])
    if "routing" in run.captured:
        router = replace(replayed(router), waits=router.waits)  # the graph ends where the host waits
    if "experts" in run.captured:
        return MixtureParts(replayed(router + common), replayed(exchanged))
    return MixtureParts(router + common, exchanged)


def _moe(run: TransformerPass) -> MoeConfig:
    assert run.model.moe is not None
    return run.model.moe


def _gathers(run: TransformerPass) -> bool:
    """Whether GPUs that divide an expert bring different tokens, which each of them needs."""
    return run.shard.expert_tensor > 1 and (run.shard.divides_sequence or run.shard.tensor == 1)


def _routing(run: TransformerPass, moe: MoeConfig) -> _Routing:
    own = run.residual_tokens * moe.experts_per_token
    received = own * run.shard.busiest_load
    parts = run.shard.expert_tensor if _gathers(run) else 1
    groups = run.shard.expert
    visited = moe.visit_chance(moe.experts / groups)
    return _Routing(
        own=own,
        arrived=parts * received * groups * visited / moe.experts_per_token,
        computed=parts * received,
        size_bytes=received * run.model.hidden * run.element,
    )


def _router(run: TransformerPass, moe: MoeConfig) -> Part:
    scores = elementwise(
        "router.scores",
        bytes_moved=_ROUTER_PASSES * 4.0 * run.residual_tokens * moe.experts,
        precision=run.precision,
    )
    product = linear(
        run,
        "router",
        rows=run.residual_tokens,
        n=moe.experts,
        k=run.model.hidden,
        arithmetic=run.precision,
    )
    return product + Part(forward=(scores,), backward=(replace(scores, name="router.scores.backward"),))


def _small(run: TransformerPass, moe: MoeConfig) -> Part:
    """Kernels that move the map of tokens to experts, a byte for each pair, or less.

    Without a capacity the host has to know how many tokens come before it can launch the exchange: it waits.
    """

    def kernels(name: str, count: int) -> Operator:
        size_bytes = float(run.residual_tokens * moe.experts)
        return elementwise(name, bytes_moved=size_bytes, precision=run.precision, count=count)

    return Part(
        forward=(kernels("routing.small", _SMALL_FORWARD),),
        backward=(kernels("routing.small.backward", _SMALL_BACKWARD),),
        waits=int(run.shard.expert > 1 and run.shard.capacity_factor is None),
    )


def _one_by_one(part: Part, groups: int) -> Part:
    """Return the products of experts as Transformer Engine launches them: each expert's, and its cast, alone.

    Some run at a time, on streams of their own.

    **Source:** `general_grouped_gemm` (`nvte_multi_stream_cublas_gemm`) and `split_quantize` of Transformer
    Engine 2.9.
    """
    sizes = [min(_STREAMS, groups - first) for first in range(0, groups, _STREAMS)]

    def launched(operators: Operators) -> Operators:
        return tuple(
            each
            for operator in operators
            for each in (
                [_some(operator, size, groups) for size in sizes]
                if operator.kind == "gemm"
                else [replace(operator, launches=groups)]
            )
        )

    return replace(
        part,
        forward=launched(part.forward),
        backward=launched(part.backward),
        weight=launched(part.weight),
    )


def _some(product: Operator, count: int, groups: int) -> Operator:
    """Return so many of the products of a group."""
    assert isinstance(product.shape, GemmShape)
    part = count / groups
    return replace(
        product,
        flops=product.flops * part,
        bytes_moved=product.bytes_moved * part,
        shape=replace(product.shape, groups=count),
        launches=count,
    )


def _permutation(run: TransformerPass, routing: _Routing) -> Part:
    """Copies in the order of the experts, made and added up again; once more behind the exchange.

    Where the exchange sends no copies they are made behind it alone, of what has come.
    """
    hidden, divided_experts = run.model.hidden, run.shard.expert > 1 or _gathers(run)
    if divided_experts and run.shard.expert_dispatch == "deduplicated":
        moved = 2 * (routing.arrived + routing.computed) * hidden
    elif divided_experts:
        moved = 2 * (run.residual_tokens + routing.own + 2 * routing.computed) * hidden
    else:
        moved = 2 * (run.residual_tokens + routing.own) * hidden
    return Part(
        forward=(run.memory("permutation", moved),), backward=(run.memory("permutation.backward", moved),)
    )


def _products(run: TransformerPass, moe: MoeConfig, routing: _Routing) -> Part:
    groups = divided(moe.experts, run.shard.expert)
    width = divided(moe.ffn_hidden, run.shard.expert_tensor)
    inputs = 2 if run.model.gated_ffn else 1
    rows = routing.computed / groups
    padding = _padding(run, routing)
    up = linear(run, "up", rows=rows, n=inputs * width, k=run.model.hidden, groups=groups)
    down = linear(run, "down", rows=rows, n=run.model.hidden, k=width, groups=groups)
    between = activation(run, "activation", elements=routing.computed * width)
    if "expert_activation" in run.modules:
        casts = tuple(each for each in down.forward if each.kind != "gemm")
        between = repeated(between, between.forward + casts, down.kept_bytes)
    return joined([padding, _one_by_one(up, groups), between, _one_by_one(down, groups), padding])


def _padding(run: TransformerPass, routing: _Routing) -> Part:
    """Tokens of each expert filled up to what fp8 products need, and their results cut back: each a copy.

    With a capacity they come in equal numbers. **Source:** `Fp8Padding` of Transformer Engine, in
    `TEGroupedMLP` of Megatron-Core.
    """
    if run.arithmetic != "fp8" or run.shard.capacity_factor is not None:
        return Part()
    moved = 2 * routing.computed * run.model.hidden
    return Part(forward=(run.memory("padding", moved),), backward=(run.memory("padding.backward", moved),))


def _exchanged(run: TransformerPass, routing: _Routing, products: Part, beside: Part) -> Part:
    """Add the exchanges of tokens to the products of the experts."""
    gather: tuple[Exchange, ...] = ()
    scatter: tuple[Exchange, ...] = ()
    if _gathers(run):
        gathered = routing.size_bytes * run.shard.expert_tensor
        gather = (Exchange("expert_tensor", "all_gather", gathered),)
        scatter = (Exchange("expert_tensor", "reduce_scatter", gathered),)
    if run.shard.expert == 1:
        return replace(products, exchanges=gather + scatter, exchanges_backward=gather + scatter)

    def swap(overlapped: Part, *, forward: bool) -> tuple[Exchange, ...]:
        operators = overlapped.forward if forward else overlapped.backward + overlapped.weight
        return (Exchange("expert", "all_to_all", routing.size_bytes, beside=operators),)

    return replace(
        products,
        exchanges=(*swap(beside, forward=True), *gather, *scatter, *swap(products, forward=True)),
        exchanges_backward=(*swap(beside, forward=False), *gather, *scatter, *swap(products, forward=False)),
    )


def _sums(run: TransformerPass) -> Part:
    """Without sequence parallelism all GPUs of the tensor group have the tokens and a part of the sums."""
    if run.shard.divides_sequence:
        return Part()
    reduce = run.gathered("all_reduce")
    return Part(exchanges=reduce, exchanges_backward=reduce)
