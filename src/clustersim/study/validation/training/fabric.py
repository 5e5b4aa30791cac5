"""Fabrics that block, where the words of a row say so: oversubscribed leaves or rails in place of a star."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from clustersim.catalog.hardware import Hardware
from clustersim.errors import InputError

__all__ = ["Tiered", "tiered"]

_RATIO = re.compile(
    r"(?P<one>\d+(?:\.\d+)?)\s*(?::|to)\s*(?P<other>\d+(?:\.\d+)?)\W{0,3}(?:over-?subscri|blocking|taper)"
    r"|(?:over-?subscri\w*|blocking|taper\w*)\W{0,3}(?:of\s+)?(?P<first>\d+(?:\.\d+)?)\s*(?::|to)\s*(?P<second>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)  # fmt: skip
_RAILS = re.compile(r"\brail", re.IGNORECASE)
_GROUP = re.compile(r"(\d+)\s*(?:nodes|hosts|servers)\s*(?:per|a|in a|under a|/)\s*\w+", re.IGNORECASE)
_NODES_PER_GROUP = 32
"""Nodes of a scalable unit of NVIDIA's DGX SuperPOD, and of `rail-optimized` topologies by default."""


@dataclass(frozen=True, kw_only=True)
class Tiered(Hardware):
    """Nodes on leaf switches, or rails of them, whose links to the spines are fewer.

    Parameters
    ----------
    oversubscription
        Bandwidth from the nodes over that to the spines.
    rails
        Whether adapter i of every node of a group hangs on its rail i; else all on one leaf.
    nodes_per_group
        Nodes of one group of rails, or under one leaf.
    """

    oversubscription: float
    rails: bool
    nodes_per_group: int

    @property
    def title(self) -> str:
        """`2048 x dgx-h100, 8 x ethernet-400g, rails of 32 nodes, 7:1`."""
        kind = "rails" if self.rails else "leaves"
        return f"{super().title}, {kind} of {self.nodes_per_group} nodes, {self.oversubscription:g}:1"

    @property
    def topology(self) -> dict[str, Any]:
        """The topology in the words of a scenario."""
        group = "nodes_per_group" if self.rails else "nodes_per_leaf"
        return {
            "kind": "rail-optimized" if self.rails else "leaf-spine",
            "nodes": self.nodes,
            "node": self.node.name,
            "oversubscription": self.oversubscription,
            group: self.nodes_per_group,
        }


def tiered(hardware: Hardware, words: str) -> Hardware:
    """Return the hardware on the fabric that the words name; as it is where they name none that blocks.

    A fat-tree or rails without oversubscription let all that jobs send at once pass, as the star does.

    Raises
    ------
    InputError
        For an oversubscription of nothing.
    """
    found = _RATIO.search(words)
    if found is None or hardware.nodes == 1:
        return hardware
    numbers = [float(number) for number in found.groups() if number]
    if min(numbers) <= 0:
        raise InputError(f"'{found[0]}' is no oversubscription")
    ratio = max(numbers) / min(numbers)
    if ratio == 1.0:
        return hardware
    stated = _GROUP.search(words)
    group = int(stated[1]) if stated else _NODES_PER_GROUP
    said = () if stated else (f"nodes under a leaf not stated: {group}",)
    known = {each.name: getattr(hardware, each.name) for each in fields(Hardware)}
    known["assumed"] = (*hardware.assumed, *said)
    rails = bool(_RAILS.search(words))
    return Tiered(**known, oversubscription=ratio, rails=rails, nodes_per_group=group)
