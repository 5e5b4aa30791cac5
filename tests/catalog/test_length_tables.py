"""Length tables: samples look like the traces that they come from."""

import csv
import gzip
import json

import numpy as np
import pytest

from clustersim import catalog

TRACES = {
    "azure-conversation-2023": (
        "AzureLLMInferenceTrace_conv_2023.csv.gz",
        "ContextTokens",
        "GeneratedTokens",
    ),
    "azure-code-2023": ("AzureLLMInferenceTrace_code_2023.csv.gz", "ContextTokens", "GeneratedTokens"),
    "mooncake-conversation": ("mooncake_fast25_conversation_trace.jsonl.gz", "input_length", "output_length"),
    "arxiv-summarization": (
        "vidur_arxiv_summarization_llama2_tokenizer.csv.gz",
        "num_prefill_tokens",
        "num_decode_tokens",
    ),
}


def read(path, columns):
    with gzip.open(path, "rt") as file:
        rows = map(json.loads, file) if ".jsonl" in path.name else csv.DictReader(file)
        lengths = np.array([[float(row[column]) for column in columns] for row in rows]).T
    return lengths[:, (lengths >= 1).all(axis=0)]


@pytest.mark.parametrize("name", TRACES)
def test_samples_keep_mean_median_and_p99_of_the_trace(name, shared):
    file, *columns = TRACES[name]
    trace = read(shared(f"traces/{file}"), columns)
    sampled = catalog.lengths(name).sample(np.random.default_rng(1), 100_000)
    for measured, drawn in zip(trace, sampled, strict=True):
        assert drawn.mean() == pytest.approx(measured.mean(), rel=0.02)
        assert np.quantile(drawn, 0.5) == pytest.approx(np.quantile(measured, 0.5), rel=0.03)
        assert np.quantile(drawn, 0.99) == pytest.approx(np.quantile(measured, 0.99), rel=0.03)


@pytest.mark.parametrize("name", catalog.names("lengths"))
def test_samples_keep_the_rank_correlation(name):
    table = catalog.lengths(name)
    prompt, output = table.sample(np.random.default_rng(2), 40_000)
    ranks = [
        np.argsort(np.argsort(values + np.random.default_rng(3).random(values.size)))
        for values in (prompt, output)
    ]
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(table.rank_correlation, abs=0.02)


@pytest.mark.parametrize("name", catalog.names("lengths"))
def test_lengths_are_whole_positive_and_within_the_table(name):
    table = catalog.lengths(name)
    for drawn, known in zip(
        table.sample(np.random.default_rng(4), 2_000), (table.prompt, table.output), strict=True
    ):
        assert drawn.dtype == np.int64
        assert drawn.min() >= 1
        assert drawn.max() <= known.max()
    assert (np.diff(table.levels) > 0).all()
    assert (np.diff(table.prompt) >= 0).all()
    assert (np.diff(table.output) >= 0).all()


def test_the_same_seed_draws_the_same_requests():
    table = catalog.lengths("azure-conversation-2023")
    first, again = (table.sample(np.random.default_rng(7), 100) for _ in range(2))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
