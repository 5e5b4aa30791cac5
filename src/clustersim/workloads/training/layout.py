"""Who does what in a training job: ranks, their places in every dimension, groups and lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clustersim.cost.training.shard import Shard
from clustersim.errors import InputError, Problem
from clustersim.spec.parallelism import TrainingParallelismSpec
from clustersim.workloads.training.divisibility import Sizes

__all__ = ["DIMENSIONS", "Coordinates", "Layout"]

_Ranks = NDArray[np.int64]

_AXES = ("pipeline", "data", "context", "tensor")
_EXPERT_AXES = ("expert_data", "expert", "expert_tensor")


class Coordinates(NamedTuple):
    """Place of a rank: its index in each dimension."""

    tensor: int
    context: int
    data: int
    pipeline: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """A grid of ranks: tensor × context × data × pipeline, and the experts' grid over each stage.

    A *lane* is the ranks of one stage that blocking collectives keep in lockstep: those of one replica,
    or of as many replicas as share experts or, with ZeRO 3, parameters.

    Parameters
    ----------
    sizes
        Ranks of each dimension.
    zero
        Stage of ZeRO.
    shard
        What the cost of a layer depends on.
    grid
        Ranks by pipeline, data, context and tensor index.
    expert_grid
        Ranks by pipeline, expert data, expert and expert tensor index.
    gpu_names
        GPU of each rank.
    lanes
        Data indices of each lane: one row per lane.

    **Source:** groups as in Megatron-LM, `megatron/core/parallel_state.py`: experts have a grid of their
    own over the ranks of a stage.
    **Checked by:** tests/workloads/test_training_layout.py, with Megatron-LM's documented examples.
    """

    sizes: Sizes
    zero: int
    shard: Shard
    grid: _Ranks
    expert_grid: _Ranks
    gpu_names: NDArray[np.object_]
    lanes: _Ranks

    @classmethod
    def of(cls, spec: TrainingParallelismSpec, *, gpus: Sequence[str], sizes: Sizes | None = None) -> Self:
        """Lay the ranks out over GPUs.

        Parameters
        ----------
        sizes
            In place of those that the spec says.

        Raises
        ------
        InputError
            Where numbers do not divide, with the nearest that do, or `mapping` is no permutation.
        """
        sizes = Sizes.of(spec, gpus=len(gpus)) if sizes is None else sizes
        grid = _numbered(spec.order, sizes, _AXES)
        experts = _expert_grid(grid, spec.order, sizes)
        return cls(
            sizes=sizes,
            zero=spec.zero,
            shard=Shard(
                tensor=sizes.tensor,
                sequence=spec.divides_sequence,
                context=sizes.context,
                context_exchange=spec.context_exchange,
                expert=sizes.expert,
                expert_tensor=sizes.expert_tensor,
                expert_dispatch=spec.expert_dispatch,
                expert_load=spec.expert_load,
                capacity_factor=spec.capacity_factor,
            ),
            grid=grid,
            expert_grid=experts,
            gpu_names=_mapped(spec.mapping, gpus),
            lanes=_lanes(grid[0], experts[0], sizes, parameters_divided=spec.zero == 3),
        )

    @property
    def tensor(self) -> int:
        """GPUs that share every layer."""
        return self.sizes.tensor

    @property
    def context(self) -> int:
        """GPUs that share every sequence."""
        return self.sizes.context

    @property
    def data(self) -> int:
        """Data-parallel replicas."""
        return self.sizes.data

    @property
    def pipeline(self) -> int:
        """Stages."""
        return self.sizes.pipeline

    @property
    def expert(self) -> int:
        """Groups that the experts of a layer are divided over."""
        return self.sizes.expert

    @property
    def expert_tensor(self) -> int:
        """GPUs that share each expert."""
        return self.sizes.expert_tensor

    @property
    def expert_data(self) -> int:
        """Ranks of a stage that hold the same experts."""
        return self.sizes.expert_data

    @property
    def ranks(self) -> int:
        """All ranks."""
        return self.grid.size

    @property
    def lanes_per_stage(self) -> int:
        """Lanes of one stage."""
        return int(self.lanes.shape[0])

    @property
    def replicas_per_lane(self) -> int:
        """Data-parallel replicas that one lane is made of."""
        return int(self.lanes.shape[1])

    @property
    def zero_ranks(self) -> int:
        """Ranks that divide what ZeRO divides of dense parameters: 1 without ZeRO."""
        return self.sizes.shard * self.context if self.zero else 1

    @property
    def workers(self) -> int:
        """Groups of replicas that each divide what ZeRO divides, or take steps of their own."""
        return self.sizes.data // self.sizes.shard

    @property
    def worker_ranks(self) -> int:
        """Ranks of a stage in a worker that hold the same dense parameters."""
        return self.sizes.shard * self.context

    @property
    def expert_zero_ranks(self) -> int:
        """Ranks that divide what ZeRO divides of experts: 1 without ZeRO."""
        return self.sizes.expert_shard if self.zero else 1

    def gpu(self, rank: int) -> str:
        """Return the GPU that a rank runs on."""
        return str(self.gpu_names[rank])

    def coordinates(self, rank: int) -> Coordinates:
        """Return a rank's place."""
        pipeline, data, context, tensor = np.unravel_index(self._place_of[rank], self.grid.shape)
        return Coordinates(int(tensor), int(context), int(data), int(pipeline))

    def rank(self, coordinates: Coordinates) -> int:
        """Return the rank at a place."""
        tensor, context, data, pipeline = coordinates
        return int(self.grid[pipeline, data, context, tensor])

    def lane_ranks(self, stage: int, replica: int) -> tuple[int, ...]:
        """Return the ranks of a lane, in order."""
        return tuple(self._lane(stage, replica).tolist())

    def groups(self, dimension: str, stage: int) -> tuple[tuple[str, ...], ...]:
        """Return the GPUs of every group of a dimension that has ranks of a stage.

        Groups come by their lowest rank, GPUs of a group by rank. `data` are the ranks with the same
        dense parameters, the context group included; `shard` those that divide ZeRO's states and
        `replica_shard` those that hold the same part; `expert_data`, `expert_shard` and
        `expert_replica_shard` the same for experts; `model` all ranks of all stages that together hold
        one copy of the dense parameters; `embedding` the first and last stage's ranks that hold the same
        rows of tied embeddings, which no stage between them has.

        Parameters
        ----------
        dimension
            One of `DIMENSIONS`.
        """
        return self._named(self._members(dimension, stage))

    def lane_groups(self, dimension: str, stage: int, replica: int) -> tuple[tuple[str, ...], ...]:
        """Return the groups of a dimension that ranks of a lane are in."""
        members = self._members(dimension, stage)
        return self._named(members[np.isin(members, self._lane(stage, replica)).any(axis=1)])

    def exchange(self, stage: int, other: int, replica: int) -> tuple[tuple[str, str], ...]:
        """Return the source and target GPUs of what a lane sends to the same lane of another stage."""
        sources, targets = (self.gpu_names[self._lane(place, replica)] for place in (stage, other))
        return tuple(zip(sources.tolist(), targets.tolist(), strict=True))

    @cached_property
    def _place_of(self) -> _Ranks:
        return np.argsort(self.grid, axis=None)

    def _lane(self, stage: int, replica: int) -> _Ranks:
        return np.sort(self.grid[stage, self.lanes[replica]], axis=None)

    def _named(self, members: _Ranks) -> tuple[tuple[str, ...], ...]:
        return tuple(map(tuple, self.gpu_names[members].tolist()))

    def _members(self, dimension: str, stage: int) -> _Ranks:
        if dimension in _DENSE:
            return _groups(_dense(self.grid[stage], self.sizes), _DENSE[dimension])
        if dimension in _EXPERT:
            return _groups(_experts(self.expert_grid[stage], self.sizes), _EXPERT[dimension])
        if dimension == "embedding":
            between = 0 < stage < self.pipeline - 1
            ends = self.grid[:: max(self.pipeline - 1, 1)]
            return np.empty((0, 2), dtype=np.int64) if between else _groups(ends, (0,))
        return _groups(self.grid, _ACROSS_STAGES[dimension])


def _expert_grid(grid: _Ranks, order: Sequence[str], sizes: Sizes) -> _Ranks:
    """Index each stage's ranks by expert data, expert and expert tensor.

    Experts are divided over what tensor, context and data leave, right inside the data dimension: the
    order tensor-context-expert-data-pipeline of Megatron-LM.
    """
    inside = {"tensor": ("expert_tensor",), "data": ("expert", "expert_data")}
    places = _numbered([name for dim in order for name in inside.get(dim, ())], sizes, _EXPERT_AXES)
    return np.sort(grid.reshape(sizes.pipeline, -1), axis=1)[:, places]


def _numbered(order: Sequence[str], sizes: Sizes, axes: Sequence[str]) -> _Ranks:
    """Number the ranks, the first dimension of `order` fastest, and index them by `axes`."""
    slowest_first = order[::-1]
    shape = [getattr(sizes, name) for name in slowest_first]
    ranks = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    return ranks.transpose([slowest_first.index(name) for name in axes])


def _mapped(mapping: Sequence[int] | None, gpus: Sequence[str]) -> NDArray[np.object_]:
    names = np.array(gpus, dtype=object)
    if mapping is None:
        return names
    missing = set(range(len(gpus))).difference(mapping)
    if missing or len(mapping) != len(gpus):
        found = f"has {len(mapping)} entries for {len(gpus)} ranks"
        if len(mapping) == len(gpus):
            found = f"leaves GPU {min(missing)} out"
        message = f"{found}; name each of 0 … {len(gpus) - 1} once"
        raise InputError(Problem(("parallelism", "mapping"), message))
    return names[list(mapping)]


_DENSE: Mapping[str, tuple[int, ...]] = {
    "tensor": (3,),
    "context": (2,),
    "data": (0, 1, 2),
    "shard": (1, 2),
    "replica_shard": (0,),
}
"""Axes of a group in: shard groups, replicas in each, context, tensor."""

_EXPERT: Mapping[str, tuple[int, ...]] = {
    "expert": (2,),
    "expert_tensor": (3,),
    "expert_data": (0, 1),
    "expert_shard": (1,),
    "expert_replica_shard": (0,),
}
"""Axes of a group in: expert shard groups, blocks of experts in each, groups of a block, expert tensor."""

_ACROSS_STAGES: Mapping[str, tuple[int, ...]] = {"pipeline": (0,), "model": (0, 3)}
"""Axes of a group in the grid of all ranks."""

DIMENSIONS = (*_DENSE, *_EXPERT, *_ACROSS_STAGES, "embedding")
"""What there are groups of."""


def _dense(stage: _Ranks, sizes: Sizes) -> _Ranks:
    return stage.reshape(-1, sizes.shard, sizes.context, sizes.tensor)


def _experts(stage: _Ranks, sizes: Sizes) -> _Ranks:
    return stage.reshape(-1, sizes.expert_shard, sizes.expert, sizes.expert_tensor)


def _groups(array: _Ranks, axes: tuple[int, ...]) -> _Ranks:
    """Return one sorted row of ranks per group, which spans `axes`; rows by their lowest rank."""
    others = [axis for axis in range(array.ndim) if axis not in axes]
    size = int(np.prod([array.shape[axis] for axis in axes]))
    members = np.sort(array.transpose(*others, *axes).reshape(-1, size), axis=1)
    return members[np.argsort(members[:, 0])]


def _lanes(stage: _Ranks, experts: _Ranks, sizes: Sizes, *, parameters_divided: bool) -> _Ranks:
    """Join the replicas that share experts or, with ZeRO 3, parameters; lanes come out equally large."""
    data_of = np.empty(stage.size, dtype=np.int64)
    ranks = np.sort(stage, axis=None)  # a stage's ranks need not follow each other
    data_of[np.searchsorted(ranks, stage)] = np.arange(sizes.data)[:, None, None]
    dimensions = ["expert", "expert_tensor", *(["expert_shard"] if parameters_divided else [])]
    grids = [(_experts(experts, sizes), _EXPERT[name]) for name in dimensions]
    if parameters_divided:
        grids.append((_dense(stage, sizes), _DENSE["shard"]))
    joined = [data_of[np.searchsorted(ranks, _groups(grid, axes))] for grid, axes in grids]
    label = np.arange(sizes.data)
    while True:
        before = label.copy()
        for replicas in joined:
            np.minimum.at(label, replicas, label[replicas].min(axis=1, keepdims=True))
        if np.array_equal(before, label):
            return np.argsort(label, kind="stable").reshape(len(np.unique(label)), -1)
