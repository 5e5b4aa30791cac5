"""The ports of all nodes as arrays: how they hang on the fabric, and what each sends where."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from clustersim.topology._demand import Demand
from clustersim.topology._sweep import Fabric
from clustersim.topology._wires import Wires

__all__ = ["Ports"]

Numbers = NDArray[np.int64]
Rates = NDArray[np.float64]


class Ports:
    """Every port of every node, one row each.

    Attributes
    ----------
    places, links
        For each port the places of the fabric that it can send to, and the links there; -1
        where it has fewer than others. A chip of the fabric is at its own place, by no link.
    in_fabric
        Which ports are such chips.
    targets
        Ports that traffic reaches from the same places: its ports, and these places.
    total_in
        What arrives at each port in all.
    cables
        Links between two ports without a switch: source, target, their links, what they carry.
    """

    def __init__(self, wires: Wires, demand: Demand, fabric: Fabric) -> None:
        self._demand = demand
        self._numbered(wires, demand)
        self._attach(wires, fabric)
        self._meet(wires, fabric)
        self.total_in = self._totals()
        self.cables = self._cables(wires)

    def _numbered(self, wires: Wires, demand: Demand) -> None:
        """Number the ports: `rows` of kind, node and port; and back."""
        self._rows: list[Numbers] = []
        vertices: list[int] = []
        homes: list[tuple[int, int, int]] = []
        for number, kind in enumerate(demand.kinds):
            shape = (len(kind.nodes), len(kind.ports))
            self._rows.append(np.arange(len(vertices), len(vertices) + shape[0] * shape[1]).reshape(shape))
            vertices += [node[port] for node in kind.nodes for port in kind.ports]
            homes += [(number, node, port) for node in range(shape[0]) for port in range(shape[1])]
        self.vertices = vertices
        self._homes: Numbers = np.array(homes, dtype=np.int64).reshape(len(homes), 3)
        self.in_fabric = np.array([wires.in_fabric[vertex] for vertex in vertices], dtype=bool)

    def _attach(self, wires: Wires, fabric: Fabric) -> None:
        steps = [
            [(int(fabric.place[vertex]), -1)]
            if wires.in_fabric[vertex]
            else [
                (int(fabric.place[other]), link)
                for other, link in wires.out[vertex]
                if wires.in_fabric[other]
            ]
            for vertex in self.vertices
        ]
        widest = max(map(len, steps), default=0)
        padded = [[*row, *[(-1, -1)] * (widest - len(row))] for row in steps]
        table = np.array(padded, dtype=np.int64).reshape(len(steps), widest, 2)
        self.places, self.links = table[:, :, 0], table[:, :, 1]

    def _meet(self, wires: Wires, fabric: Fabric) -> None:
        """Group the ports by the places that traffic comes to them from."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        self._into: list[list[tuple[int, int]]] = []
        for row, vertex in enumerate(self.vertices):
            inside = wires.in_fabric[vertex]
            behind = [
                (int(fabric.place[other]), link)
                for other, link in wires.into[vertex]
                if wires.in_fabric[other]
            ]
            self._into.append([] if inside else behind)
            own = (int(fabric.place[vertex]),) if inside else tuple(sorted({place for place, _ in behind}))
            groups[own].append(row)
        self.targets: list[tuple[Numbers, Numbers]] = [
            (np.array(rows), np.array(places)) for places, rows in groups.items() if places
        ]

    def _totals(self) -> Rates:
        total = np.zeros(len(self.vertices))
        demand = self._demand
        for b, rows in enumerate(self._rows):
            each = demand.returning[b].sum(axis=0) - demand.between[b, b].sum(axis=0)
            for a, kind in enumerate(demand.kinds):
                each = each + len(kind.nodes) * demand.between[a, b].sum(axis=0)
            total[rows] = each
        return total

    def _cables(self, wires: Wires) -> list[tuple[int, int, list[int], float]]:
        row_of = {vertex: row for row, vertex in enumerate(self.vertices)}
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for link, (source, target) in enumerate(wires.ends):
            joined = source in row_of and target in row_of and wires.node[source] != wires.node[target]
            if joined and not (wires.in_fabric[source] and wires.in_fabric[target]):
                found[row_of[source], row_of[target]].append(link)
        return [(*ends, links, self._units(*ends)) for ends, links in found.items()]

    def _units(self, source: int, target: int) -> float:
        """What one port sends to one port of another node."""
        (a, _, p), (b, _, q) = self._homes[source], self._homes[target]
        return float(self._demand.between[int(a), int(b)][p, q])

    def units_to(self, rows: Numbers) -> Rates:
        """Return what each port sends to some ports together, but for what cables carry."""
        units = np.zeros(len(self.vertices))
        demand = self._demand
        homes = self._homes[rows]
        for b in np.unique(homes[:, 0]).tolist():
            nodes, ports = homes[homes[:, 0] == b, 1:].T
            count = np.bincount(ports, minlength=self._rows[b].shape[1])
            for a, own in enumerate(self._rows):
                units[own] += demand.between[a, b] @ count
            own_node = (demand.returning[b] - demand.between[b, b])[:, ports].T
            np.add.at(units, self._rows[b][nodes], own_node)
        for source, target, _, carried in self.cables:
            if target in rows:
                units[source] -= carried
        return units

    def arrive(self, rows: Numbers, places: Numbers, there: Rates, load: Rates) -> None:
        """Bring what is at the places of a target to its ports, in proportion to what each gets in all."""
        total = self.total_in[rows].sum()
        if total <= 0:
            return
        at = dict(zip(places.tolist(), there[places].tolist(), strict=True))
        for row in rows.tolist():
            behind = self._into[row]
            for place, link in behind:
                parallel = sum(other == place for other, _ in behind)
                load[link] += at[place] * self.total_in[row] / total / parallel
