"""Mooncake's traces: what is read, what is refused, and the hit rate that their authors publish."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.workloads.inference.cache.prefix_cache import PrefixCache
from clustersim.workloads.inference.demand.mooncake import HASH_TOKENS, read_mooncake
from clustersim.workloads.inference.requests import Request

TRACE = "traces/mooncake_fast25_conversation_trace.jsonl.gz"


def row(**changes) -> str:
    fields = {"timestamp": 0, "input_length": 1500, "output_length": 7, "hash_ids": [0, 1, 2]}
    return json.dumps(fields | changes) + "\n"


def write(tmp_path, text, name="trace.jsonl"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz"])
def test_milliseconds_become_seconds_after_the_first_request(tmp_path, name):
    text = row(timestamp=4500, input_length=2000) + "\n" + row(timestamp=3000)
    trace = read_mooncake(write(tmp_path, text, name))
    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.prompt.tolist() == [1500, 2000]
    assert trace.output.tolist() == [7, 7]
    assert trace.hash_tokens == 512


def test_the_id_of_an_unfilled_block_is_left_out(tmp_path):
    trace = read_mooncake(write(tmp_path, row() + row(input_length=1536, hash_ids=[0, 1, 9])))
    assert trace.hashes == [(0, 1), (0, 1, 9)]


def test_an_answer_of_no_tokens_is_one_token(tmp_path):
    assert read_mooncake(write(tmp_path, row(output_length=0))).output.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there are no requests in it"),
        ("{nonsense\n", "is not JSON"),
        ("[1, 2]\n", "an object with timestamp"),
        (row(input_length=0), "input_length is 0"),
        (row(input_length=True), "input_length is True"),
        (row(timestamp="soon"), "timestamp is 'soon'; milliseconds"),
        (row(hash_ids=[1, "a"]), "hash_ids is no list of whole numbers"),
        (row().replace("output_length", "output_lenght"), "Did you mean 'output_lenght'?"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(tmp_path, text, says):
    path = write(tmp_path, row() * bool(text) + text)
    with pytest.raises(InputError, match=r"trace\.jsonl") as caught:
        read_mooncake(path)
    assert says in str(caught.value)
    assert not text or ":2: " in str(caught.value)


def test_at_most_ten_broken_lines_are_told(tmp_path):
    with pytest.raises(InputError) as caught:
        read_mooncake(write(tmp_path, "{}\n" * 30))
    assert len(caught.value.problems) == 10


def test_a_file_that_is_not_there_or_damaged_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_mooncake(tmp_path / "none.jsonl")
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress((row() * 100).encode())[:40])
    with pytest.raises(InputError, match="damaged"):
        read_mooncake(path)


def found(trace, cache) -> np.ndarray:
    """Return the tokens that each request finds, one served after the other."""
    tokens = []
    for index, (prompt, hashes) in enumerate(zip(trace.prompt.tolist(), trace.hashes, strict=True)):
        request = Request(index, 0.0, prompt, 1, hashes=hashes, hash_tokens=trace.hash_tokens, pending=prompt)
        tokens.append(cache.admit(request))
        request.prefilled, request.generated = prompt, 1
        cache.release(request, finished=True)
    return np.array(tokens)


def test_the_conversation_trace_has_the_statistics_and_the_hit_rate_of_the_paper(shared):
    """Table 2 of Mooncake (FAST 2025): 12,031 requests, 12,035 and 343 tokens; cache ratio 40 %; figure 9:
    41 % at the most, over requests."""
    trace = read_mooncake(shared(TRACE))
    assert len(trace) == 12_031
    assert round(trace.prompt.mean()) == 12_035
    assert round(trace.output.mean()) == 343
    tokens = found(trace, PrefixCache(10**9, block_tokens=16, watermark=0.0))
    assert np.mean(tokens / trace.prompt) == pytest.approx(0.41, abs=0.005)


def test_memory_of_one_node_finds_much_less_than_that_of_twenty(shared):
    """Section 5.3.1: the 3 million tokens of one node's memory are far from the highest hit rate, 50
    million of 20 nodes nearly reach it."""
    trace = read_mooncake(shared(TRACE))
    rates = []
    for capacity in (3_000_000, 50_000_000, 10**12):
        cache = PrefixCache(capacity // HASH_TOKENS, block_tokens=HASH_TOKENS, watermark=0.0)
        rates.append(np.mean(found(trace, cache) / trace.prompt))
    assert rates[0] < 0.65 * rates[2]
    assert 0.97 * rates[2] < rates[1] <= rates[2]
