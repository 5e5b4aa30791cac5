"""Rates side by side in one run: plain simpy, the fabric, the service with and without skip-ahead.

    python benchmarks/run.py [--quick]

Absolute numbers are this machine's; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import simpy

import clustersim as cs
from clustersim.engine.fabric import Fabric
from measuring import simpy_events_per_s

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def fabric_flows_per_s(flows: int, *, hosts: int, load: float) -> float:
    """Random point-to-point flows over one switch, one simpy process for the arrivals."""
    draw = random.Random(1)
    capacity, mean_bytes = 25e9, 1e7
    env = simpy.Environment()
    fabric = Fabric(env, [capacity] * (2 * hosts), names=[f"link{i}" for i in range(2 * hosts)])

    def arrivals():
        for _ in range(flows):
            yield env.timeout(draw.expovariate(load * hosts * capacity / mean_bytes))
            source, target = draw.sample(range(hosts), 2)
            fabric.start(fabric.route_set((source, hosts + target)), draw.expovariate(1 / mean_bytes))

    env.process(arrivals())
    started = time.process_time()
    env.run()
    return flows / (time.process_time() - started)


def service_rates(minutes: float, *, skip_ahead: bool) -> tuple[float, float]:
    """Requests and output tokens simulated per CPU second on one DGX H100."""
    scenario = cs.load(SCENARIOS / "chat-on-one-dgx-h100.yaml")
    scenario = scenario.with_(
        **{
            "workloads.chat.skip_ahead": skip_ahead,
            "workloads.chat.duration": f"{minutes} min",
            "run.trace": False,
        }
    )
    started = time.process_time()
    result = cs.run(scenario)
    seconds = time.process_time() - started
    requests = result.outcomes["chat"].tables["requests"]
    return len(requests["output_tokens"]) / seconds, float(requests["output_tokens"].sum()) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for CI")
    scale = 0.1 if parser.parse_args().quick else 1.0
    base = simpy_events_per_s(int(500_000 * scale))
    print(f"{'what':<44}{'per CPU second':>16}{'÷ simpy events':>16}")

    def line(what: str, rate: float) -> None:
        print(f"{what:<44}{rate:>16,.0f}{rate / base:>16.3f}", flush=True)

    line("plain simpy: events", base)
    line("fabric: flows, 10 % load, 64 hosts", fabric_flows_per_s(int(20_000 * scale), hosts=64, load=0.1))
    line("fabric: flows, 60 % load, 64 hosts", fabric_flows_per_s(int(20_000 * scale), hosts=64, load=0.6))
    skipping = service_rates(30 * scale, skip_ahead=True)
    stepping = service_rates(30 * scale, skip_ahead=False)
    line("service: requests, skip-ahead", skipping[0])
    line("service: requests, step by step", stepping[0])
    line("service: output tokens, skip-ahead", skipping[1])
    line("service: output tokens, step by step", stepping[1])
    print(f"skip-ahead is {skipping[0] / stepping[0]:.1f}x as fast as step by step in this run")


if __name__ == "__main__":
    main()
