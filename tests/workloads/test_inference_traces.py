"""Request traces: what is read, and how broken files are refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.workloads.inference.demand.trace_files import read_lengths, read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(tmp_path, text, name="trace.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_azure_timestamps_become_seconds_after_the_first_request(tmp_path, name):
    text = AZURE + "2023-11-16 23:59:59.5000001,374,44\n2023-11-17 00:00:01.0000002,396,109\n"
    trace = read_trace(write(tmp_path, text, name))
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 1.5000001], abs=1e-9)
    assert trace.prompt.tolist() == [374, 396]
    assert trace.output.tolist() == [44, 109]


@pytest.mark.parametrize(
    "header",
    [
        "arrived_at,prompt,output",
        "Arrival_Time, num_prefill_tokens, num_decode_tokens",
        "\ufefftime,input_tokens,output_tokens",
    ],
)
def test_the_usual_column_names_are_understood(tmp_path, header):
    trace = read_trace(write(tmp_path, f"{header}\n0.5,10,20\n2.0,30,40\n"))
    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.prompt.tolist() == [10, 30]
    assert trace.output.tolist() == [20, 40]


AZURE_2024 = AZURE + "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00.017335+00:00,2399,6\n"
BURST_GPT = (
    "Timestamp,Session ID,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,a,ChatGPT,472,18,490,Conversation log\n"
    "45,,GPT-4,1087,230,1317,Conversation log\n"
    "118,a,ChatGPT,417,276,693,API log\n"
)


def test_the_azure_format_of_2024_is_understood(tmp_path):
    trace = read_trace(write(tmp_path, AZURE_2024))
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 0.007405], abs=1e-9)
    assert trace.prompt.tolist() == [2162, 2399]


def test_burst_gpt_is_understood_with_its_sessions(tmp_path):
    trace = read_trace(write(tmp_path, BURST_GPT))
    assert trace.arrival_s.tolist() == [0.0, 40.0, 113.0]
    assert trace.prompt.tolist() == [472, 1087, 417]
    assert trace.output.tolist() == [18, 230, 276]
    assert trace.session.tolist() == [0, -1, 0]


def test_rows_with_a_value_in_a_column_are_kept_alone(tmp_path):
    path = write(tmp_path, BURST_GPT)
    assert read_trace(path, only=[("Model", "ChatGPT")]).prompt.tolist() == [472, 417]
    assert read_trace(path, only=[("model", "ChatGPT"), ("Log Type", "API log")]).prompt.tolist() == [417]
    with pytest.raises(InputError, match="no requests in it that the filter lets through"):
        read_trace(path, only=[("Model", "Claude")])
    with pytest.raises(InputError, match=r"trace\.csv:1: no column 'Modell'. Did you mean 'Model'"):
        read_trace(path, only=[("Modell", "ChatGPT")])


def test_a_file_of_lengths_needs_no_arrivals(tmp_path):
    vidur = "num_prefill_tokens,num_decode_tokens,pd_ratio\n3772,54,69.8\n2015,156,12.9\n"
    prompt, output = read_lengths(write(tmp_path, vidur))
    assert (prompt.tolist(), output.tolist()) == ([3772, 2015], [54, 156])
    with pytest.raises(InputError, match="no column for the output"):
        read_lengths(write(tmp_path, "prompt\n5\n"))


def test_the_public_file_of_arxiv_lengths_is_read(shared):
    prompt, output = read_lengths(shared("traces/vidur_arxiv_summarization_llama2_tokenizer.csv.gz"))
    assert len(prompt) == len(output) == 28257
    assert prompt.max() == 4054


def test_further_columns_comments_and_empty_lines_are_ignored(tmp_path):
    text = "# made by hand\nid,output,arrived_at,prompt\n\n1,5,0.0,7\n# a pause\n2,6,1.0,8\n\n"
    trace = read_trace(write(tmp_path, text))
    assert trace.prompt.tolist() == [7, 8]
    assert trace.output.tolist() == [5, 6]


def test_unsorted_lines_are_sorted_and_ties_keep_their_order(tmp_path):
    trace = read_trace(write(tmp_path, "arrived_at,prompt,output\n5,1,1\n3,2,1\n5,3,1\n4,4,1\n"))
    assert trace.arrival_s.tolist() == [0.0, 1.0, 2.0, 2.0]
    assert trace.prompt.tolist() == [2, 4, 1, 3]


def test_an_answer_of_no_tokens_is_taken_as_one(tmp_path):
    assert read_trace(write(tmp_path, AZURE + "2023-11-16 00:00:00,5,0\n")).output.tolist() == [1]


def test_broken_lines_are_reported_together_with_their_numbers(tmp_path):
    lines = [
        "0,1,1",
        "1,x,1",
        "2,1",
        "later,1,1",
        "4,0,1",
        "5,1,-1",
        "nan,1,1",
        "2023-11-16 25:00:00,1,1",
        "6,1,1",
    ]
    path = write(tmp_path, "arrived_at,prompt,output\n" + "\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_trace(path)
    text = str(caught.value)
    assert [problem.line for problem in caught.value.problems] == [3, 4, 5, 6, 7, 8, 9]
    assert f"{path}:3: prompt is 'x'" in text
    assert f"{path}:4: 2 columns" in text
    assert "arrival is 'later'" in text
    assert "prompt is 0 tokens; at least 1" in text
    assert "output is -1 tokens" in text


def test_no_more_than_ten_broken_lines_are_listed(tmp_path):
    with pytest.raises(InputError) as caught:
        read_trace(write(tmp_path, AZURE + "yesterday,1,1\n" * 50))
    assert len(caught.value.problems) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (AZURE, "no requests in it"),
        ("arrived_at,prompt\n0,1\n", "no column for the output"),
        ("arrived_at,promt,output\n0,1,2\n", "Did you mean 'prompt'?"),
    ],
)
def test_files_without_requests_or_columns_say_what_is_missing(tmp_path, text, message):
    with pytest.raises(InputError, match=r"trace\.csv") as caught:
        read_trace(write(tmp_path, text))
    assert message in str(caught.value)


def test_missing_and_damaged_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read"):
        read_trace(tmp_path / "gone.csv")
    damaged = tmp_path / "cut.csv.gz"
    damaged.write_bytes(gzip.compress(AZURE.encode() * 100)[:-20])
    with pytest.raises(InputError, match=r"cut\.csv\.gz"):
        read_trace(damaged)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(InputError, match=r"binary\.csv"):
        read_trace(binary)
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path)


def test_the_azure_conversation_hour_is_read_whole(shared):
    path = shared("traces/AzureLLMInferenceTrace_conv_2023.csv.gz")
    trace = read_trace(path)
    assert len(trace.arrival_s) == 19366
    assert trace.prompt.sum() == 22361870
    assert np.all(np.diff(trace.arrival_s) >= 0)


def test_the_shipped_sample_trace_is_readable(root):
    trace = read_trace(root / "scenarios" / "traces" / "sample-conversation.csv")
    assert len(trace.arrival_s) == 300
    assert trace.arrival_s[-1] < 120
