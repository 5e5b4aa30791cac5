"""Seconds to build a cluster and to route a ring over all its GPUs.

python benchmarks/topology.py [--quick]
"""

from __future__ import annotations

import argparse
import time

from clustersim.spec.cluster import ClusterSpec
from clustersim.topology import build


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,024 GPUs only")
    sizes = (1024,) if parser.parse_args().quick else (1024, 4096, 16384)
    print(f"{'topology':<18}{'GPUs':>8}{'links':>10}{'build s':>10}{'ring routes s':>15}{'searches':>10}")
    for kind in ("fat-tree", "rail-optimized"):
        for gpus in sizes:
            spec = ClusterSpec.model_validate(
                {"topology": {"kind": kind, "nodes": gpus // 8, "node": "dgx-h100"}}
            )
            started = time.perf_counter()
            topology = build(spec)
            built = time.perf_counter()
            for one, other in zip(topology.gpus, topology.gpus[1:] + topology.gpus[:1], strict=True):
                topology.route(one, other)
            routed = time.perf_counter()
            print(
                f"{kind:<18}{gpus:>8,}{len(topology.link_names):>10,}{built - started:>10.2f}"
                f"{routed - built:>15.2f}{topology.route_searches:>10,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
