"""Hosts that prepare batches, and hosts that serve embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.errors import CannotRunError, InputError, Problem
from clustersim.spec.ranking.embeddings import RemoteEmbeddings
from clustersim.topology import Topology
from clustersim.topology.hosts import hosts_of

__all__ = ["preparing_hosts", "server_hosts"]


def preparing_hosts(topology: Topology, gpus: tuple[str, ...]) -> Mapping[str, str]:
    """Return the host of each GPU of a replica, which prepares and copies its batches.

    Raises
    ------
    CannotRunError
        For a GPU whose node has no host.
    """
    try:
        return hosts_of(topology, gpus)
    except CannotRunError:
        node = topology.node_of(gpus[0])
        message = f"batches are prepared by hosts, and '{node}' has none; place the service on other nodes"
        raise CannotRunError(Problem(("placement",), message)) from None


def server_hosts(topology: Topology, embeddings: RemoteEmbeddings) -> tuple[str, ...]:
    """Return the hosts that serve embeddings.

    Raises
    ------
    InputError
        For a node that does not exist, and where there are fewer nodes than servers.
    """
    nodes, wanted = list(topology.gpus_by_node), embeddings.number
    chosen = range(len(nodes) - wanted, len(nodes)) if embeddings.nodes is None else embeddings.nodes
    if wanted > len(nodes):
        place = ("embeddings", "servers" if embeddings.nodes is None else "nodes")
        raise InputError(Problem(place, f"{wanted} servers, but the cluster has {len(nodes)} nodes"))
    if max(chosen) >= len(nodes):
        message = f"there is no node {max(chosen)}; the cluster's are 0 to {len(nodes) - 1}"
        raise InputError(Problem(("embeddings", "nodes"), message))
    gpus = tuple(topology.gpus_by_node[nodes[number]][0] for number in chosen)
    hosts = preparing_hosts(topology, gpus)
    return tuple(hosts[gpu] for gpu in gpus)
