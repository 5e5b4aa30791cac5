"""What machines cost while they run: power at the meter and money, for workloads of every kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from clustersim.catalog import power, prices
from clustersim.catalog.accelerators import Accelerator
from clustersim.errors import CatalogError, InputError, Problem
from clustersim.spec.economics import RunningCostSpec

__all__ = ["RunningCost", "price_facts"]


@dataclass(frozen=True)
class RunningCost:
    """Price and power of GPUs of one kind, with their share of hosts and data centre.

    Parameters
    ----------
    usd_per_gpu_s, price_from
        Price of a GPU, and whose it is; None where neither scenario nor catalogue has one.
    tdp_w
        Design power of a GPU; None where the catalogue does not know it.
    host_w
        Power of the host, per GPU.

    *Equation.* With u the share of the time in which GPUs compute:
    power = GPUs·(TDP·(u + w·(1 - u)) + host)·PUE.

    **Valid when** GPUs that compute draw their design power: decoding, which waits for memory, draws
    less. **Source:** `clustersim.catalog.power`, `clustersim.catalog.prices`.
    **Checked by:** tests/workloads/test_training_economics.py.
    """

    usd_per_gpu_s: float | None
    price_from: str
    tdp_w: float | None
    host_w: float
    waiting_share: float
    pue: float

    @classmethod
    def of(cls, spec: RunningCostSpec, accelerator: Accelerator) -> Self:
        """Look up prices and power.

        Raises
        ------
        InputError
            For a provider that the catalogue does not have.
        """
        server = power.SHELF.get(power.DEFAULT_SERVER)
        usd_per_gpu_s, price_from = _price(spec, accelerator)
        host_w = server.host_share * (accelerator.tdp_w or 0.0)
        return cls(
            usd_per_gpu_s=usd_per_gpu_s,
            price_from=price_from,
            tdp_w=accelerator.tdp_w,
            host_w=host_w if spec.host_power is None else spec.host_power,
            waiting_share=server.waiting_share,
            pue=server.pue if spec.pue is None else spec.pue,
        )

    def power_w(self, gpus: float, busy: float) -> float | None:
        """Return the power at the meter; None without a design power of the GPUs.

        Parameters
        ----------
        busy
            Share of the time in which GPUs compute.
        """
        if self.tdp_w is None:
            return None
        gpu_w = self.tdp_w * (busy + self.waiting_share * (1.0 - busy))
        return gpus * (gpu_w + self.host_w) * self.pue

    def usd_per_s(self, gpus: float) -> float | None:
        """Return the price of GPUs; None where nobody has one."""
        return None if self.usd_per_gpu_s is None else gpus * self.usd_per_gpu_s

    def facts(self) -> dict[str, float | str]:
        """Return what the price rests on, in words."""
        return price_facts([self])


def price_facts(costs: Iterable[RunningCost]) -> dict[str, float | str]:
    """Return what prices of GPUs of several kinds rest on, in words."""
    words = [
        f"{cost.usd_per_gpu_s * 3600.0:.4g} USD/h per GPU ({cost.price_from})"
        for cost in costs
        if cost.usd_per_gpu_s is not None
    ]
    return {"price": "; ".join(words)} if words else {}


def _price(spec: RunningCostSpec, accelerator: Accelerator) -> tuple[float | None, str]:
    if spec.price is not None:
        return spec.price, "scenario"
    try:
        found = prices.cheapest(accelerator.name, provider=spec.provider)
    except CatalogError as error:
        raise InputError(Problem(("economics", "provider"), str(error))) from None
    return (None, "") if found is None else (found.usd_per_gpu_s, f"{found.provider}, {found.name}")
