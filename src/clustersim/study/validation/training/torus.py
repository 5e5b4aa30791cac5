"""Slices of chips that forward (TPUs) from the words of a row: which chip, and the shape of the torus."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustersim import catalog
from clustersim.catalog.hardware import Hardware
from clustersim.errors import InputError, did_you_mean
from clustersim.study.validation.training.row import TrainingRow

if TYPE_CHECKING:
    from clustersim.spec.training import TrainingSpec

__all__ = ["Slice", "is_torus", "over_all_links", "slice_of"]

_CHIP = re.compile(r"\btpu\s*-?\s*v?(?P<version>\d\s*[a-z]?)|\b(?P<name>trillium|ironwood)\b", re.IGNORECASE)
_NAMES = {"trillium": "6e", "ironwood": "7x"}
_SHAPE = re.compile(r"\b(\d+)\s*[x×]\s*(\d+)(?:\s*[x×]\s*(\d+))?\b")
_BETWEEN_SLICES = re.compile(r"\bdcn\b|data-?\s*cent(?:re|er) network|\bmulti-?\s*slice", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Slice(Hardware):
    """Hosts of chips in a torus.

    Parameters
    ----------
    dimensions
        Chips along each side.
    """

    dimensions: tuple[int, ...]

    @property
    def title(self) -> str:
        """`tpu-v5p torus 8x8x8`."""
        return f"{self.node.name} torus {'x'.join(map(str, self.dimensions))}"


def is_torus(row: TrainingRow) -> bool:
    """Whether the row names chips that forward by themselves."""
    return bool(_CHIP.search(row.gpu))


def slice_of(row: TrainingRow) -> Slice:
    """Return the slice that a row ran on; where no shape is given, the one nearest to a cube or square.

    Raises
    ------
    InputError
        For a chip without a node type, a shape of another number of chips, or several slices.
    """
    found = _CHIP.search(row.gpu)
    assert found is not None
    version = _NAMES.get((found["name"] or "").lower(), re.sub(r"\s", "", found["version"] or "")).lower()
    known = [name for name in catalog.names("node-types") if catalog.node_type(name).chip_grid]
    name = f"tpu-v{version}"
    if name not in known:
        raise InputError(f"no node type of the catalogue stands for hosts of '{row.gpu}'; known: "
                         f"{', '.join(known)}.{did_you_mean(name, known)}")  # fmt: skip
    if _BETWEEN_SLICES.search(f"{row.network} {row.system}"):
        raise InputError("several slices that are joined by a data-centre network are not modelled")
    node = catalog.node_type(name)
    dimensions, assumed = _shape(row, len(node.chip_grid))
    return Slice(
        node=node,
        link=catalog.link(node.nic_link),
        nodes=row.gpus // node.gpus,
        gpus_per_node=node.gpus,
        dimensions=dimensions,
        assumed=assumed,
    )


def over_all_links(spec: TrainingSpec) -> TrainingSpec:
    """Return a job whose collectives run over all dimensions of the torus at once, as XLA's do.

    **Source:** Austin et al., How to scale your model, 2025, chapter 3; Jouppi et al., ISCA 2023.
    """
    return spec.model_copy(update={"collective": spec.collective.model_copy(update={"algorithm": "torus"})})


def _shape(row: TrainingRow, sides: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    stated = _SHAPE.search(row.network) or _SHAPE.search(row.system)
    if stated:
        dimensions = tuple(int(size) for size in stated.groups() if size)
        if math.prod(dimensions) != row.gpus:
            raise InputError(f"a torus of {stated[0]} has {math.prod(dimensions)} chips, not {row.gpus}")
        return dimensions, ()
    dimensions = _even(row.gpus, sides)
    return dimensions, (f"shape of the slice not stated: {'x'.join(map(str, dimensions))}",)


def _even(chips: int, sides: int) -> tuple[int, ...]:
    """Divide chips into sides that are as alike as can be, each a multiple of two where there is one."""
    if sides == 1:
        return (chips,)
    wish = chips ** (1 / sides)
    sizes = [size for size in range(1, chips + 1) if chips % size == 0 and (size % 2 == 0 or chips % 2)]
    size = min(sizes, key=lambda each: abs(math.log(each / wish)))
    return tuple(sorted((size, *_even(chips // size, sides - 1))))
