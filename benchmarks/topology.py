"""Seconds to build a cluster, to route a ring over all its GPUs, and to find its all-to-all's bottleneck.

python benchmarks/topology.py [--quick]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from typing import Any

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build
from clustersim.topology.all_to_all import UniformTraffic


def shapes(gpus: int) -> Iterator[dict[str, Any]]:
    """Clusters of a number of GPUs, a power of two from 1,024 on."""
    nodes = {"nodes": gpus // 8, "node": "dgx-h100"}
    yield {"kind": "fat-tree", **nodes}
    yield {"kind": "rail-optimized", **nodes}
    yield {"kind": "rail-only", **nodes}
    yield {"kind": "dragonfly", "adapters_per_router": 8, **nodes}
    yield {"kind": "torus", "dimensions": [16, 16, gpus // 256], "node": "tpu-v4"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,024 GPUs only")
    sizes = (1024,) if parser.parse_args().quick else (1024, 4096, 16384)
    head = ("GPUs", "links", "build s", "ring routes s", "searches", "all-to-all s")
    print(f"{'topology':<18}" + "".join(f"{name:>15}" for name in head))
    for gpus in sizes:
        for shape in shapes(gpus):
            print(f"{shape['kind']:<18}" + "".join(f"{cell:>15}" for cell in measured(shape)), flush=True)


def measured(shape: dict[str, Any]) -> list[str]:
    """Return the cells of one row; times are CPU seconds."""
    times = [time.process_time()]
    topology = build(ClusterSpec.model_validate({"topology": shape}))
    times.append(time.process_time())
    for one, other in zip(topology.gpus, topology.gpus[1:] + topology.gpus[:1], strict=True):
        topology.route(one, other)
    searches = topology.route_searches
    times.append(time.process_time())
    UniformTraffic(topology).all_to_all()
    times.append(time.process_time())
    built, routed, limited = (f"{after - before:.2f}" for before, after in itertools.pairwise(times))
    counts = (f"{len(topology.gpus):,}", f"{len(topology.link_names):,}")
    return [*counts, built, routed, f"{searches:,}", limited]


if __name__ == "__main__":
    main()
