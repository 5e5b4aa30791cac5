"""How a replica of a model lies on its GPUs: tensor, pipeline, data and expert parallelism."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from clustersim.catalog.models import TransformerModel

__all__ = ["ServingLayout", "StageLayers"]

StageLayers = tuple[tuple[int, int], ...]
"""Runs of alike layers of a stage: index of a layer of the run, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLayout:
    """The GPUs of one replica: pipeline stages of `data` groups of `tensor` GPUs.

    GPU (s·data + d)·tensor + t of the replica is tensor rank t of data group d of stage s.

    Parameters
    ----------
    tensor
        GPUs that share the heads and widths of a layer.
    pipeline
        Stages that the layers are divided into.
    data
        Groups that compute the attention of different requests; the experts are shared by all.
    expert
        Groups that the experts of a layer are divided over; a group's GPUs divide each expert's width.
    expert_load
        Tokens of the busiest group of experts over the mean.
    expert_exchange
        How tokens get to their experts: `all-to-all`, or `all-reduce` where every rank has all tokens and
        adds up what its experts make of them.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    expert_load: float = 1.0
    expert_exchange: str = "all-reduce"

    @property
    def ranks(self) -> int:
        """GPUs of a stage."""
        return self.tensor * self.data

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""
        return self.ranks * self.pipeline

    @property
    def expert_tensor(self) -> int:
        """GPUs that divide the width of each expert."""
        return self.ranks // self.expert

    def stage_sizes(self, layers: int) -> tuple[int, ...]:
        """Return the layers of each stage: as even as can be, the last ones with fewer.

        The last stage has the logits to compute as well, so that it gets none of the rest.
        """
        each, rest = divmod(layers, self.pipeline)
        return tuple(each + (stage < rest) for stage in range(self.pipeline))

    def stages(self, model: TransformerModel) -> tuple[StageLayers, ...]:
        """Return the runs of alike layers of each stage."""
        return _stages(model, self.stage_sizes(model.layers))

    def problems(self, model: TransformerModel) -> list[tuple[str, str]]:
        """Return why the model cannot lie like this, as (field, reason); empty if it can."""
        found = []
        if model.heads % self.tensor:
            divisors = [str(count) for count in range(1, model.heads + 1) if model.heads % count == 0]
            found.append(
                (
                    "tensor",
                    f"{self.tensor} GPUs do not divide the {model.heads} heads of {model.name}; "
                    f"take one of {', '.join(divisors)}",
                )
            )
        if self.pipeline > model.layers:
            found.append(
                (
                    "pipeline",
                    f"{self.pipeline} stages are more than the {model.layers} layers of {model.name}",
                )
            )
        return found + self._expert_problems(model)

    def _expert_problems(self, model: TransformerModel) -> list[tuple[str, str]]:
        moe = model.moe
        if moe is None:
            return [("expert", f"{model.name} has no experts; take 1")] if self.expert > 1 else []
        counts = [str(n) for n in range(1, self.ranks + 1) if not self.ranks % n and not moe.experts % n]
        if self.ranks % self.expert or moe.experts % self.expert:
            reason = (
                f"{self.expert} groups divide not both the {moe.experts} experts of {model.name} and the "
                f"{self.ranks} GPUs of a stage (tensor × data); take one of {', '.join(counts)}"
            )
            return [("expert", reason)]
        return []


@lru_cache(maxsize=64)
def _stages(model: TransformerModel, sizes: tuple[int, ...]) -> tuple[StageLayers, ...]:
    kinds = model.layer_parameter_counts
    stages, start = [], 0
    for size in sizes:
        runs: dict[int, tuple[int, int]] = {}
        for layer in range(start, start + size):
            first, count = runs.get(kinds[layer], (layer, 0))
            runs[kinds[layer]] = first, count + 1
        stages.append(tuple(runs.values()))
        start += size
    return tuple(stages)
