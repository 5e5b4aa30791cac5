"""What a ranking service was found to be."""

from __future__ import annotations

from clustersim.workloads.ranking.inference.measures.metrics import UNIT
from clustersim.workloads.ranking.inference.plan import PoolPlan

__all__ = ["pool_facts"]


def pool_facts(plan: PoolPlan) -> dict[str, float | str]:
    """Return model, devices and memory of a pool."""
    memory = plan.replicas[0].memory
    return {
        "model": plan.model.name,
        "accelerator": ", ".join(sorted({replica.accelerator.name for replica in plan.replicas})),
        "work.unit": UNIT,
        "gpus": float(sum(len(replica.gpus) for replica in plan.replicas)),
        "replicas": float(len(plan.replicas)),
        "workers_per_replica": float(len(plan.replicas[0].devices) * plan.instances),
        "max_samples": float(plan.rules.max_samples),
        "engine": plan.engine.name,
        "parameters": float(plan.model.embedding_parameters + plan.model.dense_parameters),
        "embeddings": plan.spec.embeddings.kind,
        "table_bytes_per_gpu": memory.tables,
        "layer_bytes_per_gpu": memory.layers,
        "batch_bytes_per_gpu": memory.batches,
    }
