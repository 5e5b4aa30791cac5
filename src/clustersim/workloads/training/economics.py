"""Utilisation, energy and money of a training job: what follows from its speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from clustersim.catalog import power, prices
from clustersim.cost.training_flops import StepFlops
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.economics import EconomicsSpec
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

    Parameters
    ----------
    usd_per_gpu_s, price_from
        Price of a GPU, and whose it is; None where neither scenario nor catalogue has one.
    host_w
        Power of the host, per GPU.

    *Equation.* With u the share of an iteration that GPUs compute: power = GPUs·(TDP·(u + w·(1 - u)) +
    host)·PUE; a run of T tokens takes T / (tokens/s) seconds, its energy is power times that, its price
    GPUs × price × time.

    **Valid when** the run has no failures (`clustersim goodput` has them), and GPUs that compute draw
    their design power. **Source:** `clustersim.catalog.power`, `clustersim.catalog.prices`.
    **Checked by:** tests/workloads/test_training_economics.py.
    """

    spec: EconomicsSpec
    job: TrainingJob
    usd_per_gpu_s: float | None
    price_from: str
    host_w: float
    waiting_share: float
    pue: float

    @classmethod
    def of(cls, job: TrainingJob) -> Self:
        """Look up prices and power.

        Raises
        ------
        InputError
            For a provider that the catalogue does not have, tokens of a model without, and samples of
            one that has tokens.
        """
        spec, server = job.spec.economics, power.SHELF.get(power.DEFAULT_SERVER)
        _check(spec, job)
        usd_per_gpu_s, price_from = _price(spec, job)
        tdp_w = job.accelerator.tdp_w or 0.0
        return cls(
            spec=spec,
            job=job,
            usd_per_gpu_s=usd_per_gpu_s,
            price_from=price_from,
            host_w=server.host_share * tdp_w if spec.host_power is None else spec.host_power,
            waiting_share=server.waiting_share,
            pue=server.pue if spec.pue is None else spec.pue,
        )

    def power_w(self, busy: float) -> float | None:
        """Return the power of the job at the meter; None without a design power of its GPUs.

        Parameters
        ----------
        busy
            Share of the time in which GPUs compute.
        """
        tdp_w = self.job.accelerator.tdp_w
        if tdp_w is None:
            return None
        gpu_w = tdp_w * (busy + self.waiting_share * (1.0 - busy))
        return self.job.layout.ranks * (gpu_w + self.host_w) * self.pue

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
        power_w = self.power_w(min(1.0, measured["compute_s"] / measured["iteration_s.mean"]))
        usd_per_s = None if self.usd_per_gpu_s is None else self.usd_per_gpu_s * self.job.layout.ranks
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

    def facts(self) -> dict[str, float | str]:
        """Return what the figures rest on, in words."""
        if self.usd_per_gpu_s is None:
            return {}
        return {"price": f"{self.usd_per_gpu_s * 3600.0:.4g} USD/h per GPU ({self.price_from})"}

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


def _price(spec: EconomicsSpec, job: TrainingJob) -> tuple[float | None, str]:
    if spec.price is not None:
        return spec.price, "scenario"
    try:
        found = prices.cheapest(job.accelerator.name, provider=spec.provider)
    except CatalogError as error:
        raise InputError(Problem(("economics", "provider"), str(error))) from None
    return (None, "") if found is None else (found.usd_per_gpu_s, f"{found.provider}, {found.name}")
