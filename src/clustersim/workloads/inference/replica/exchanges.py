"""Which exchanges a replica's layout needs: all-reduces, token exchanges, sends between stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.collectives import Communicator
from clustersim.collectives.from_spec import lockstep_for
from clustersim.collectives.token_exchange import TokenExchange
from clustersim.cost.operators import element_bytes
from clustersim.cost.serving.layout import StageLayers
from clustersim.cost.serving.serving_cost import ServingCost
from clustersim.engine.fabric import TrafficClass
from clustersim.workloads.inference.replica.network import Exchange, StepNetwork

if TYPE_CHECKING:
    from clustersim.engine.world import World
    from clustersim.spec.training import CollectiveSpec

__all__ = ["step_network"]

_COMBINE_BYTES = 2
"""What experts make of tokens comes back in 16 bits, whatever the format they were sent in (DeepEP)."""

_KERNEL_GPUS = 8
"""Most GPUs of a group (vLLM, distributed/device_communicators/custom_all_reduce.py)."""


def step_network(
    world: World,
    gpus: Sequence[str],
    cost: ServingCost,
    *,
    owner: str,
    collective: CollectiveSpec,
    traffic: TrafficClass,
    base: Path | None = None,
    kernel_bytes: float = 0.0,
) -> StepNetwork | None:
    """Return the exchanges of a replica's steps; None for a replica of one GPU.

    Parameters
    ----------
    gpus
        Of the replica, in the order of `ServingLayout`.
    owner
        Whose flows they are: `service.replica`.
    collective, traffic
        As the scenario says.
    base
        Folder that the paths of collectives' files start from.
    kernel_bytes
        Below this size the engine has an all-reduce of its own for groups in one node with links
        between GPUs: every GPU reads what it needs from the others, in one shot or in two.
    """
    if len(gpus) == 1:
        return None
    chosen = collective.algorithm != "auto" or collective.schedule is not None
    plan = _Exchanges(
        world,
        gpus,
        cost,
        owner=owner,
        collective=collective,
        traffic=traffic,
        base=base,
        kernel_bytes=0.0 if chosen else kernel_bytes,
    )
    return StepNetwork(plan.stages(), env=world.env, closed_form=collective.fidelity == "macro")


class _Exchanges:
    """Makes communicators and exchanges, stage by stage.

    *Equation.* With T tokens in a step, d data groups of t GPUs, hidden width h, k experts per token and e
    bytes per element: all-reduces of T/d·h·e in each tensor group after attention and after a dense
    feed-forward part; of experts by all-reduce likewise (with several data groups: an all-gather of
    T·h·e before and a reduce-scatter after); of experts by all-to-all, a reduce-scatter and an all-gather
    of T/d·h·e in tensor groups around two exchanges of load·T/(d·t)·k·h·e per GPU; an all-gather of
    sampled/d·vocab·e for the logits; T/d·h·e/t from each GPU to its peer in the next stage, and there an
    all-gather in tensor groups.
    """

    def __init__(
        self,
        world: World,
        gpus: Sequence[str],
        cost: ServingCost,
        *,
        owner: str,
        collective: CollectiveSpec,
        traffic: TrafficClass,
        base: Path | None,
        kernel_bytes: float,
    ) -> None:
        self._kernel_bytes = kernel_bytes
        self._world = world
        self._cost = cost
        self._layout = cost.layout
        self._collective = collective
        self._options: dict[str, Any] = {
            "owner": owner,
            "lane": f"{owner}/comm",
            "base": base,
            "traffic": traffic,
        }
        ranks = self._layout.ranks
        self._stages = [gpus[start : start + ranks] for start in range(0, len(gpus), ranks)]
        self._token_bytes = cost.model.hidden * element_bytes(cost.formats.precision) / self._layout.data

    def stages(self) -> list[list[Exchange]]:
        """Return the exchanges of each stage."""
        return [self._stage(stage, runs) for stage, runs in enumerate(self._layout.stages(self._cost.model))]

    def _stage(self, stage: int, runs: StageLayers) -> list[Exchange]:
        gpus, moe = self._stages[stage], self._cost.model.moe
        layers = sum(alike for _, alike in runs)
        sparse = sum(alike for layer, alike in runs if moe is not None and layer >= moe.dense_layers)
        exchanges = self._layers(gpus, layers=layers, sparse=sparse)
        if stage < len(self._stages) - 1:
            exchanges += self._send(stage)
        elif self._layout.tensor > 1 and self._cost.model.vocab:
            exchanges.append(self._logits(gpus))
        return exchanges

    def _layers(self, gpus: Sequence[str], *, layers: int, sparse: int) -> list[Exchange]:
        layout = self._layout
        exchanges = []
        by_tokens = sparse if layout.expert_exchange != "all-reduce" else 0
        gathered = sparse if layout.data > 1 and not by_tokens else 0
        if layout.tensor > 1:
            tensor = self._groups(self._tensor_groups(gpus))
            exchanges.append(
                Exchange(
                    tensor,
                    "all_reduce",
                    self._token_bytes,
                    2 * layers - 2 * by_tokens,
                    kernels=self._kernels(self._tensor_groups(gpus)),
                    kernel_bytes=self._kernel_bytes,
                )
            )
            exchanges += self._halves(tensor, self._token_bytes, by_tokens)
        if by_tokens:
            exchanges += self._token_exchange(gpus, by_tokens)
        if gathered:
            peers = self._groups([gpus[place :: layout.tensor] for place in range(layout.tensor)])
            exchanges += self._halves(peers, self._token_bytes * layout.data, gathered)
        return [exchange for exchange in exchanges if exchange.repeats]

    @staticmethod
    def _halves(communicator: Communicator, bytes_per_token: float, repeats: int) -> list[Exchange]:
        return [
            Exchange(communicator, kind, bytes_per_token, repeats)
            for kind in ("reduce_scatter", "all_gather")
        ]

    def _token_exchange(self, gpus: Sequence[str], layers: int) -> list[Exchange]:
        layout, model, formats = self._layout, self._cost.model, self._cost.formats
        assert model.moe is not None
        copies = layout.expert_load * model.moe.experts_per_token / layout.ranks * model.hidden
        deduplicated = layout.expert_exchange == "deduplicated"
        algorithm = {"algorithm": TokenExchange(model.moe)} if deduplicated else {}
        communicator = self._groups([gpus], **algorithm)
        sent = element_bytes(formats.activations or formats.precision)
        return [
            Exchange(communicator, "all_to_all", copies * size, layers) for size in (sent, _COMBINE_BYTES)
        ]

    def _logits(self, gpus: Sequence[str]) -> Exchange:
        bytes_per_row = self._cost.model.vocab * element_bytes(self._cost.formats.precision)
        return Exchange(
            self._groups(self._tensor_groups(gpus)),
            "all_gather",
            0.0,
            1,
            bytes_per_sample=bytes_per_row / self._layout.data,
            whole=True,
        )

    def _send(self, stage: int) -> list[Exchange]:
        layout = self._layout
        pairs = list(zip(self._stages[stage], self._stages[stage + 1], strict=True))
        send = self._groups(pairs)
        part = self._token_bytes / layout.tensor
        exchanges = [Exchange(send, "send_recv:0:1", part, 1, whole=True)]
        if layout.tensor > 1:
            gather = self._groups(self._tensor_groups(self._stages[stage + 1]))
            exchanges.append(Exchange(gather, "all_gather", self._token_bytes, 1, whole=True))
        return exchanges

    def _kernels(self, groups: Sequence[Sequence[str]]) -> tuple[Communicator, ...]:
        """Return the engine's own all-reduces, where groups are small and in one node each."""
        node_of = self._world.topology.node_of
        inside = all(len({node_of(gpu) for gpu in group}) == 1 for group in groups)
        joined = self._cost.accelerator.scale_up_bandwidth_bytes_per_s is not None
        if not (self._kernel_bytes and inside and joined) or len(groups[0]) > _KERNEL_GPUS:
            return ()
        return tuple(self._groups(groups, algorithm=name) for name in ("one-shot", "direct"))

    def _tensor_groups(self, gpus: Sequence[str]) -> list[Sequence[str]]:
        tensor = self._layout.tensor
        return [gpus[start : start + tensor] for start in range(0, len(gpus), tensor)]

    def _groups(self, groups: Sequence[Sequence[str]], **options: Any) -> Communicator:
        """Return a communicator of groups side by side; one group is what it would be alone."""
        return lockstep_for(self._collective, self._world, groups, **self._options, **options)
