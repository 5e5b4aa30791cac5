"""Writes scenarios/traces/sample-conversation.csv: made-up requests in the Azure trace format.

Lengths are drawn from the catalogue's quantile table `azure-conversation-2023`, arrivals are
Poisson at 5 requests/s; nothing is copied from the trace.

    python tools/make_sample_trace.py > scenarios/traces/sample-conversation.csv
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from clustersim import catalog

REQUESTS = 300
RATE_PER_S = 5.0
SEED = 2024
BEGIN = datetime(2024, 1, 1, 9, 0, 0)


def main() -> None:
    rng = np.random.default_rng(SEED)
    arrivals = np.cumsum(rng.exponential(1.0 / RATE_PER_S, REQUESTS))
    prompts, outputs = catalog.lengths("azure-conversation-2023").sample(rng, REQUESTS)
    print("# Made by tools/make_sample_trace.py from a quantile table: not measured requests.")
    print("TIMESTAMP,ContextTokens,GeneratedTokens")
    for arrival_s, prompt, output in zip(arrivals.tolist(), prompts, outputs, strict=True):
        moment = BEGIN + timedelta(seconds=arrival_s)
        print(f"{moment:%Y-%m-%d %H:%M:%S.%f},{prompt},{output}")


if __name__ == "__main__":
    main()
