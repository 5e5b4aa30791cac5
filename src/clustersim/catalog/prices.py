"""Prices: what a cloud takes for an instance and an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clustersim.catalog._store import Record, Shelf, Source
from clustersim.errors import CatalogError, did_you_mean
from clustersim.units import PRICE, parse_quantity

__all__ = ["SHELF", "Price", "cheapest"]


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one provider takes for one instance, on demand.

    Parameters
    ----------
    accelerator
        Name in the catalogue.
    gpus
        Accelerators of the instance; its price is that of all, hosts and network included.
    usd_per_s
        Of the instance.

    **Valid when** nothing is negotiated: reserved capacity costs a third to a half of a list price.
    **Source:** `sources`. **Checked by:** tests/catalog/test_prices.py, against the reference table.
    """

    name: str
    provider: str
    accelerator: str
    gpus: int
    usd_per_s: float
    sources: Mapping[str, Source]

    @property
    def usd_per_gpu_s(self) -> float:
        """Of one accelerator."""
        return self.usd_per_s / self.gpus


def _build(record: Record) -> Price:
    entry = record.fields
    fields = ("provider", "accelerator", "gpus", "price")
    cited = record.sources_of(fields)
    return Price(
        name=record.name,
        provider=entry["provider"],
        accelerator=entry["accelerator"],
        gpus=entry["gpus"],
        usd_per_s=parse_quantity(entry["price"], PRICE),
        sources=MappingProxyType({**cited, "usd_per_s": cited["price"]}),
    )


SHELF: Shelf[Price] = Shelf("price", file="prices.yaml", build=_build)


def cheapest(accelerator: str, *, provider: str | None = None) -> Price | None:
    """Return the lowest price of an accelerator; None where the catalogue has none.

    Raises
    ------
    CatalogError
        For a provider that has no price for it.
    """
    known = [price for price in map(SHELF.get, SHELF.names()) if price.accelerator == accelerator]
    if provider is not None:
        theirs = [price for price in known if price.provider.casefold() == provider.casefold()]
        if not theirs:
            hint = did_you_mean(provider, {price.provider for price in known})
            raise CatalogError(f"the catalogue has no price of '{provider}' for {accelerator}.{hint}")
        known = theirs
    return min(known, key=lambda price: price.usd_per_gpu_s, default=None)
