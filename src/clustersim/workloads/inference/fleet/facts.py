"""What a service was found to be, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.spec.inference import InferenceSpec
from clustersim.workloads.inference.fleet.opening import engine_host, engine_start_s
from clustersim.workloads.inference.fleet.plan import PoolPlan
from clustersim.workloads.inference.measures.needs import UNIT

__all__ = ["service_facts"]


def service_facts(spec: InferenceSpec, plans: Sequence[PoolPlan]) -> dict[str, float | str]:
    """Return model, GPUs and memory; of two pools, what they differ in under `prefill` and `decode`."""
    replicas = [replica for plan in plans for replica in plan.replicas]
    model = replicas[0].cost.model
    facts: dict[str, float | str] = {
        "model": model.name,
        "accelerator": ", ".join(sorted({replica.cost.accelerator.name for replica in replicas})),
        "parameters": float(model.parameters),
        "work.unit": UNIT,
        "gpus": float(sum(len(replica.gpus) for replica in replicas)),
        "replicas": float(len(replicas)),
    }
    if len(plans) == 1:
        facts |= _pool_facts(plans[0])
    else:
        for role, plan in zip(("prefill", "decode"), plans, strict=True):
            own = {"replicas": float(len(plan.replicas))} | _pool_facts(plan)
            facts |= {f"{role}_{name}": value for name, value in own.items()}
    facts["host_overhead_s"] = engine_host(spec, replicas[0]).serial_s
    if spec.failures is not None or any(pool.autoscaling for pool in spec.pools):
        facts["engine_start_s"] = engine_start_s(spec)
    return facts


def _pool_facts(plan: PoolPlan) -> dict[str, float | str]:
    memory = plan.replicas[0].memory
    return {
        "tensor": float(plan.spec.parallelism.tensor),
        "weight_bytes_per_gpu": memory.weight_bytes,
        "activation_bytes_per_gpu": memory.activation_bytes,
        "kv_bytes_per_gpu": memory.kv_bytes,
        "kv_blocks": float(memory.kv_blocks),
        "kv_tokens": float(memory.kv_blocks * plan.spec.scheduler.block_tokens),
    }
