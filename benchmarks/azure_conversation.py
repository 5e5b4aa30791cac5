"""The Azure conversation trace on two tensor-parallel replicas: alone, beside training, upgraded.

    python benchmarks/azure_conversation.py TRACE.csv.gz             # first 15 minutes, three variants
    python benchmarks/azure_conversation.py TRACE.csv.gz --hour      # the whole hour, service alone

TRACE is `AzureLLMInferenceTrace_conv_2023.csv` of the Azure public dataset (CC-BY-4.0), gzipped or not.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import clustersim as cs

SCENARIO = Path(__file__).parents[1] / "scenarios" / "ddp-and-chat-on-one-fabric.yaml"
COLUMNS = ("ttft_s.p50", "ttft_s.p99", "tpot_s.p50", "tpot_s.p99")


def service_and_training(trace: Path, duration: str) -> cs.Scenario:
    """The shipped scenario with the trace's requests in place of drawn ones.

    The trace brings twice the shipped load, which the oversubscribed fabric does not carry even
    without training; so the leaves are not oversubscribed here, and prompts run in larger chunks.
    """
    scenario = cs.load(SCENARIO)
    chat = scenario.workloads[0].model_dump(mode="json")
    chat |= {"arrivals": {"kind": "trace", "path": str(trace.resolve())}, "lengths": None}
    chat |= {"duration": duration, "warmup": "0 s"}
    chat["scheduler"] |= {"max_batched_tokens": 2048}
    return scenario.with_(
        **{
            "cluster.topology.oversubscription": 1.0,
            "workloads.chat": chat,
            "workloads.pretrain.duration": duration,
        }
    )


def without_training(scenario: cs.Scenario) -> cs.Scenario:
    """Only the service."""
    return scenario.with_(workloads=[workload for workload in scenario.workloads if workload.name == "chat"])


def report(label: str, scenario: cs.Scenario) -> float:
    """Run one variant, print its row, return the seconds it took."""
    started = time.perf_counter()
    result = cs.run(scenario)
    seconds = time.perf_counter() - started
    metrics = result.metrics()["chat"]
    steps = result.metrics().get("pretrain", {}).get("iteration_s.mean", float("nan"))
    cells = "  ".join(f"{metrics[column]:>10.4f}" for column in COLUMNS)
    print(
        f"{label:<28}{metrics['requests_finished']:>9.0f}  {cells}  {steps:>12.3f}  {seconds:>7.1f}",
        flush=True,
    )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", type=Path)
    parser.add_argument("--hour", action="store_true", help="the whole trace, without the training job")
    parser.add_argument("--minutes", type=float, default=15)
    options = parser.parse_args()
    print(f"{'variant':<28}{'requests':>9}  " + "  ".join(f"{column:>10}" for column in COLUMNS), end="")
    print(f"  {'iteration_s':>12}  {'wall s':>7}")
    if options.hour:
        total = report(
            "whole hour, service alone", without_training(service_and_training(options.trace, "61 min"))
        )
    else:
        both = service_and_training(options.trace, f"{options.minutes} min")
        faster = both.with_(**{"cluster.fabric.bandwidth": "400 Gbit/s"})
        total = report("service alone", without_training(both))
        total += report("beside training", both)
        total += report("beside training, 400 Gbit/s", faster)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"total {total:.1f} s, peak memory {peak_mib:.0f} MiB")


if __name__ == "__main__":
    main()
