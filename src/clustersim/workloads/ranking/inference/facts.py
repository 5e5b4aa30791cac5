"""What a ranking service was found to be."""

from __future__ import annotations

from clustersim.workloads.ranking.inference.measures.metrics import UNIT
from clustersim.workloads.ranking.inference.plan import PoolPlan
from clustersim.workloads.ranking.inference.pools import VARIANT, ServicePools

__all__ = ["pool_facts", "service_facts"]


def service_facts(pools: ServicePools) -> dict[str, float | str]:
    """Return the facts of the service's own pool, and of other pools under their names."""
    found = pool_facts(pools.own) | {"gpus": float(pools.gpus)}
    others = dict(zip((stage.name for stage in pools.spec.stages), pools.stages, strict=True))
    if pools.variant is not None:
        others[VARIANT] = pools.variant
    for name, plan in others.items():
        facts = pool_facts(plan)
        found |= {f"{name}.{key}": facts[key] for key in ("model", "gpus", "replicas", "engine")}
    return found


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
