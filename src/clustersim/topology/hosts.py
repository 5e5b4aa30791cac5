"""Which host a GPU hangs on: where what is offloaded goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clustersim.errors import CannotRunError, Problem
from clustersim.topology.network import Topology

__all__ = ["hosts_of"]


def hosts_of(topology: Topology, gpus: Iterable[str]) -> Mapping[str, str]:
    """Return for each GPU the host of its node with the fewest links between; of several, the first.

    Raises
    ------
    CannotRunError
        For a GPU whose node has no host.

    **Checked by:** tests/topology/test_hosts.py.
    """
    by_node: dict[str, list[str]] = {}
    for vertex, fields in topology.graph.nodes(data=True):
        node = fields.get("node")
        if fields["kind"] == "host" and node is not None:
            by_node.setdefault(node, []).append(vertex)
    found: dict[str, str] = {}
    for gpu in gpus:
        node = topology.node_of(gpu)
        if node not in by_node:
            raise CannotRunError(Problem(("offload",), f"'{node}' has no host, whose memory it could use"))
        found[gpu] = min(by_node[node], key=lambda host: len(topology.path(gpu, host).links))
    return found
