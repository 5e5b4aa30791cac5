"""Make the length tables of the catalogue from public request traces.

    python tools/fit_lengths.py --traces FOLDER > src/clustersim/catalog/data/lengths.yaml

Only quantiles and the rank correlation are kept; no request of a trace is.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LEVELS = [*(round(level / 100, 2) for level in range(100)), 0.995, 0.999, 0.9995, 1.0]

MLPERF = (
    "MLPerf Inference data set of {} (MLCommons; lengths as in github.com/openshift-psap/"
    "performance-dashboard, mlperf-data/summaries)"
)

TABLES = {
    "azure-conversation-2023": (
        "AzureLLMInferenceTrace_conv_2023.csv.gz",
        ("ContextTokens", "GeneratedTokens"),
        "Azure LLM inference trace 2023, conversation (Patel et al., Splitwise, ISCA 2024; "
        "github.com/Azure/AzurePublicDataset, CC-BY-4.0)",
        ["azure-conv-2023", "azure-conversation"],
    ),
    "azure-code-2023": (
        "AzureLLMInferenceTrace_code_2023.csv.gz",
        ("ContextTokens", "GeneratedTokens"),
        "Azure LLM inference trace 2023, code (Patel et al., Splitwise, ISCA 2024; "
        "github.com/Azure/AzurePublicDataset, CC-BY-4.0)",
        ["azure-code"],
    ),
    "mooncake-conversation": (
        "mooncake_fast25_conversation_trace.jsonl.gz",
        ("input_length", "output_length"),
        "Mooncake conversation trace (Qin et al., FAST 2025; github.com/kvcache-ai/Mooncake)",
        ["mooncake"],
    ),
    "arxiv-summarization": (
        "vidur_arxiv_summarization_llama2_tokenizer.csv.gz",
        ("num_prefill_tokens", "num_decode_tokens"),
        "arXiv summarisation lengths, Llama-2 tokenizer (Agrawal et al., Vidur, MLSys 2024; "
        "github.com/microsoft/vidur; data set of Cohan et al., NAACL 2018)",
        ["arxiv"],
    ),
    "mlperf-llama-2-70b": (
        "orca.csv",
        ("input_length", "output_length"),
        MLPERF.format(
            "Llama-2-70B, OpenOrca; outputs are GPT-4's reference answers, mean 219 tokens: the "
            "model's own average 294.45 (MLCommons reference README)"
        ),
        [],
    ),
    "mlperf-mixtral-8x7b": (
        "mixtral-8x7b.csv",
        ("input_length", "output_length"),
        MLPERF.format("Mixtral-8x7B: OpenOrca, GSM8K and MBXP"),
        [],
    ),
    "mlperf-llama-3.1-405b": (
        "llama3-1-405b.csv",
        ("input_length", "output_length"),
        MLPERF.format("Llama-3.1-405B: LongBench, RULER and GovReport"),
        [],
    ),
    "mlperf-deepseek-r1": (
        "deepseek-r1.csv",
        ("input_length", "output_length"),
        MLPERF.format("DeepSeek-R1: reasoning tasks"),
        [],
    ),
    "mlperf-llama-3.1-8b": (
        "llama3-1-8b-datacenter.csv",
        ("input_length", "output_length"),
        MLPERF.format("Llama-3.1-8B: CNN/DailyMail summaries"),
        [],
    ),
}


def rows(path: Path) -> Iterator[dict[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        if ".jsonl" in path.name:
            yield from (json.loads(line) for line in file if line.strip())
        else:
            yield from csv.DictReader(file)


def read_lengths(path: Path, columns: tuple[str, str]) -> np.ndarray:
    """Return prompt and output tokens, two rows, without requests that have neither."""
    pairs = [[int(float(row[column])) for column in columns] for row in rows(path)]
    lengths = np.array(pairs).T
    return lengths[:, (lengths >= 1).all(axis=0)]


def average_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation, ties at their average rank."""
    return float(np.corrcoef(average_ranks(first), average_ranks(second))[0, 1])


def quantiles(values: np.ndarray) -> list[int]:
    return [int(value) for value in np.quantile(values, LEVELS, method="inverted_cdf")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, required=True, help="folder of the public traces")
    folder = parser.parse_args().traces
    print("# Prompt and output lengths in tokens: quantiles at `levels` and Spearman's rank correlation.")
    print("# Made by tools/fit_lengths.py from the public traces that the sources name.")
    print("sources:")
    for name, (_, _, source, _) in TABLES.items():
        print(f'  {name}: {{text: "{source}", how: seen}}')
    print(f"\nlevels: {LEVELS}\n\nentries:")
    for name, (file, columns, _, aliases) in TABLES.items():
        prompt, output = read_lengths(folder / file, columns)
        print(f"  {name}:")
        print(f"    aliases: [{', '.join(aliases)}]")
        print(f"    sources: {{all: {name}}}")
        print(f"    requests: {prompt.size}")
        print(f"    rank_correlation: {spearman(prompt, output):.4f}")
        print(f"    prompt: {quantiles(prompt)}")
        print(f"    output: {quantiles(output)}")


if __name__ == "__main__":
    main()
