"""Utilisation, energy and money of a training job: what follows from its speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from clustersim.cost.training.flops import StepFlops
from clustersim.errors import InputError, Problem
from clustersim.spec.economics import EconomicsSpec
from clustersim.workloads.running_cost import RunningCost
from clustersim.workloads.training.job import TrainingJob

__all__ = ["Economics", "recomputed_flops", "utilisation"]

_DAY_S = 86_400.0
_J_PER_KWH = 3.6e6


def utilisation(job: TrainingJob, samples_per_s: float) -> dict[str, float]:
    """Return model and hardware FLOPs utilisation by both conventions.

    *Equation.* FLOPs per sample × samples/s / (GPUs × peak). `mfu` and `hfu` count attention over all
    pairs of tokens, as Megatron-LM and PaLM do; `mfu_causal` and `hfu_causal` over the pairs that the
    mask leaves, as FlashAttention's and MosaicML's later tables do. HFU adds what is recomputed.

    **Source:** Chowdhery et al., arXiv:2204.02311, appendix B; Narayanan et al., SC21, section 5.1;
    Korthikanti et al., 2022, section 6.3. **Checked by:** tests/workloads/test_training_economics.py.
    """
    flops = recomputed_flops(job)
    peak_flops = job.layout.ranks * job.accelerator.peak(job.spec.precision)
    counted = {
        "mfu": flops.model,
        "mfu_causal": flops.model_without_masked,
        "hfu": flops.hardware,
        "hfu_causal": flops.hardware_without_masked,
    }
    return {name: samples_per_s * per_sample / peak_flops for name, per_sample in counted.items()}


def recomputed_flops(job: TrainingJob) -> StepFlops:
    """Return FLOPs per sample, recomputed ones of those layers alone whose activations are not kept."""
    flops = job.cost.flops
    if job.spec.recompute != "full" or job.spec.recompute_layers is None:
        return flops
    layers = [block for chunk in job.chunks for block in chunk if block.layer is not None]
    repeated = sum(block.recompute.seconds > 0 for block in layers) / len(layers) if layers else 0.0
    return replace(flops, recomputed=flops.recomputed * repeated)


@dataclass(frozen=True)
class Economics:
    """What a job costs per second, and over a whole run.

    *Equation.* A run of T tokens takes T / (tokens/s) seconds; its energy is the power of
    `RunningCost` times that, its price GPUs × price × time.

    **Valid when** the run has no failures (`clustersim goodput` has them).
    **Checked by:** tests/workloads/test_training_economics.py.
    """

    spec: EconomicsSpec
    job: TrainingJob
    cost: RunningCost

    @classmethod
    def of(cls, job: TrainingJob) -> Self:
        """Look up prices and power.

        Raises
        ------
        InputError
            For a provider that the catalogue does not have, tokens of a model without, and samples of
            one that has tokens.
        """
        spec = job.spec.economics
        _check(spec, job)
        return cls(spec, job, RunningCost.of(spec, job.accelerator))

    def metrics(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Return power, price and what a whole run takes.

        Parameters
        ----------
        measured
            Metrics of the iterations; nothing is returned before there is one.
        """
        if "samples_per_s" not in measured:
            return {}
        found: dict[str, float] = {}
        gpus = self.job.layout.ranks
        power_w = self.cost.power_w(gpus, min(1.0, measured["compute_s"] / measured["iteration_s.mean"]))
        usd_per_s = self.cost.usd_per_s(gpus)
        if power_w is not None:
            found["power_w"] = power_w
        if usd_per_s is not None:
            found["price_usd_per_h"] = usd_per_s * 3600.0
        run_s = self._run_s(measured["samples_per_s"])
        if run_s is not None:
            found["run_days"] = run_s / _DAY_S
            found |= {} if power_w is None else {"run_energy_kwh": power_w * run_s / _J_PER_KWH}
            found |= {} if usd_per_s is None else {"run_price_usd": usd_per_s * run_s}
        return found

    def _run_s(self, samples_per_s: float) -> float | None:
        samples: float | None = self.spec.samples
        if self.spec.tokens is not None:
            assert self.job.cost.sequence is not None  # checked when this was made
            samples = self.spec.tokens / self.job.cost.sequence
        return None if samples is None else samples / samples_per_s


def _check(spec: EconomicsSpec, job: TrainingJob) -> None:
    if spec.tokens is not None and job.cost.sequence is None:
        message = f"{job.model.name} has no tokens; give 'samples'"
        raise InputError(Problem(("economics", "tokens"), message))
    if spec.samples is not None and job.cost.sequence is not None:
        message = f"{job.model.name} is trained on tokens; give 'tokens'"
        raise InputError(Problem(("economics", "samples"), message))
