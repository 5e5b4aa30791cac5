"""What a ranking model takes of the memory of a device that serves it."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.catalog.ranking_engines import RankingEngine
from clustersim.catalog.ranking_layers import linear_layers
from clustersim.catalog.ranking_models import RankingModel
from clustersim.cost.operators import element_bytes
from clustersim.errors import CannotRunError, Problem

__all__ = ["ServedMemory", "served_memory"]


@dataclass(frozen=True, kw_only=True)
class ServedMemory:
    """Bytes of one device by use.

    *Equation.* Layers: parameters in their precision. Batches: for each instance the inputs of its largest
    batch, what its look-ups leave, and the inputs and outputs of the widest layer.

    **Checked by:** tests/workloads/ranking/test_ranking_inference_service.py.
    """

    tables: float
    layers: float
    batches: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.tables + self.layers + self.batches

    def check(self, memory_bytes: float, *, who: str) -> None:
        """Refuse what does not fit.

        Raises
        ------
        CannotRunError
            With the bytes by use.
        """
        if self.total <= memory_bytes:
            return
        tables, layers, batches, total, there = (
            f"{size / 2**30:.3g} GiB"
            for size in (self.tables, self.layers, self.batches, self.total, memory_bytes)
        )
        raise CannotRunError(
            Problem(
                ("model",),
                f"{who} needs {total} of a GPU (tables {tables}, layers {layers}, batches {batches}), "
                f"which has {there}; take more 'gpus_per_replica', a smaller precision of 'embeddings', "
                "or embeddings of kind 'cached'",
            )
        )


def served_memory(
    model: RankingModel,
    engine: RankingEngine,
    *,
    tables_bytes: float,
    precision: str,
    instances: int,
    samples: float,
    layers: bool = True,
) -> ServedMemory:
    """Return the bytes of one device.

    Parameters
    ----------
    tables_bytes
        Of the rows that it holds.
    precision
        Of the layers.
    instances, samples
        Batches that it has at once, and its part of the largest one.
    layers
        Whether it computes the layers.
    """
    if not layers:
        return ServedMemory(tables=tables_bytes, layers=0.0, batches=0.0)
    element = element_bytes(precision)
    widest = max((layer.inputs + layer.outputs for layer in linear_layers(model)), default=0.0)
    inputs = engine.input_bytes(dense_features=model.dense_features, lookups=model.lookups_per_sample)
    of_sample = inputs + element * (model.pooled_elements + widest)
    return ServedMemory(
        tables=tables_bytes,
        layers=model.dense_parameters * element,
        batches=instances * samples * of_sample,
    )
