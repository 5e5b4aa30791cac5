"""Ranking models from files of one's own: compact tables, mistakes with their place, and back again."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from clustersim import catalog
from clustersim.errors import InputError

SMALL = """\
ranking_model: small
source: my measurement
dense_features: 16
bottom_mlp: [64, 32]
tables: {count: 8, rows: 4e6, dimension: 32, pooling: 80}
interaction: {kind: dot}
top_mlp: [128, 1]
"""
SEQUENCE = """\
ranking_model: feed
tables:
  - {name: user, rows: 1000000, dimension: 16, per_candidate: false}
  - {name: clicks, count: 2, rows: [5000, 700], dimension: 16, pooling: 50, pooled: false, skew: 1.05}
  - {name: item, count: 2, rows: [5000, 700], dimension: 16}
interaction: {kind: attention, sequence_length: 50, unit_mlp: [80, 40, 1]}
top_mlp: [200]
task_mlp: [80, 1]
tasks: 3
"""


def written(folder: Path, text: str, name: str = "small.yaml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_one_group_of_tables_stands_for_all_of_them(tmp_path):
    model = catalog.ranking_model(written(tmp_path, SMALL))
    assert [table.name for table in model.tables] == [f"table.{number}" for number in range(8)]
    assert {(table.rows, table.pooling) for table in model.tables} == {(4_000_000, 80.0)}
    assert (model.lookups_per_sample, model.interaction_width) == (640.0, 32 + 9 * 8 // 2)
    assert str(model.source) == "my measurement (seen)"


def test_a_list_of_groups_keeps_order_and_gives_each_table_its_rows(tmp_path):
    model = catalog.ranking_model(written(tmp_path, SEQUENCE))
    assert [(table.name, table.rows) for table in model.tables] == [
        ("user", 1_000_000),
        ("clicks.0", 5000),
        ("clicks.1", 700),
        ("item.0", 5000),
        ("item.1", 700),
    ]
    assert model.step_width == 32
    assert model.pooled_elements == 16 + 2 * 50 * 16 + 2 * 16
    assert model.interaction_width == 3 * 16 + 32


def test_groups_without_a_name_are_numbered_through(tmp_path):
    text = SMALL.replace("tables: {count: 8, ", "tables: [{rows: 7, dimension: 32}, {count: 2, ").replace(
        "pooling: 80}", "pooling: 80}]"
    )
    model = catalog.ranking_model(written(tmp_path, text))
    assert [(table.name, table.rows) for table in model.tables] == [
        ("table.0", 7),
        ("table.1", 4_000_000),
        ("table.2", 4_000_000),
    ]


def test_a_path_is_relative_to_the_folder_that_is_given(tmp_path):
    written(tmp_path, SMALL)
    assert catalog.ranking_model("small.yaml", base=tmp_path).name == "small"


@pytest.mark.parametrize("name", catalog.names("ranking-models"))
def test_a_model_comes_back_from_its_file(name, tmp_path):
    model = catalog.ranking_model(name)
    path = catalog.save_model(model, tmp_path / "copy.yaml")
    again = catalog.ranking_model(str(path))
    assert replace(again, sources={}) == replace(model, sources={})


def test_a_model_is_written_to_yaml_only(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.yaml"):
        catalog.save_model(catalog.ranking_model("ncf"), tmp_path / "ncf.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SMALL.replace("pooling: 80", "poling: 80"),
            "small.yaml:5:46: tables[0].poling: unknown field. Did you mean 'pooling'?",
        ),
        (SMALL.replace("rows: 4e6", "rows: 4.5"), "small.yaml:5:20: tables[0].rows[0]: expected a whole"),
        (SMALL.replace("kind: dot", "kind: dcnv2"), "Did you mean 'dcn-v2'?"),
        (SMALL.replace("kind: dot", "kind: dot, rank: 4"), "interaction.rank: unknown field for kind 'dot'"),
        (SMALL.replace("dimension: 32", "dimension: 64"), "5:31: tables[0].dimension: is 64, but a dot"),
        (SMALL.replace("bottom_mlp: [64, 32]\n", ""), "bottom_mlp: a dot interaction needs layers"),
        (SMALL.replace("dense_features: 16\n", ""), "3:1: bottom_mlp: needs 'dense_features'"),
        (SMALL.replace("top_mlp: [128, 1]\n", ""), "top_mlp: give the layers after the interaction"),
        (SMALL.replace("count: 8, rows: 4e6", "count: 8, rows: [4, 5]"), "rows: lists 2 values for 8 tables"),
        (SMALL.replace("pooling: 80", "skew: 1, reuse: x"), "skew: give either 'reuse' or 'skew'"),
        (SMALL.replace("pooling: 80", "role: factor"), "tables[0].role: factors belong to interaction"),
        (SMALL.replace("pooling: 80", "pooled: false"), "tables[0]: interaction 'dot' takes no behaviour"),
        (
            SMALL + "published_embedding_bytes: 5 GiB\n",
            "small.yaml:8:1: published_embedding_bytes: is 5,368,709,120 bytes, but 4,096,000,000 are",
        ),
        (SEQUENCE.replace("tasks: 3", "tasks: 0"), "tasks: must be at least 1, got 0"),
        (SEQUENCE.replace("task_mlp: [80, 1]\n", ""), "tasks: is 3, so 'task_mlp' has to say"),
        (SEQUENCE.replace("40, 1]}", "40, 2]}"), "interaction.unit_mlp: ends in 2; a unit gives 1 weight or"),
        (
            SEQUENCE.replace("sequence_length: 50", "sequence_length: 51"),
            "interaction.sequence_length: is 51, but tables of the sequence bring 1600 elements",
        ),
        (
            SEQUENCE.replace("name: user", "name: item"),
            "small.yaml:5:6: tables[2].name: tables before are called 'item', too",
        ),
        (
            SMALL.replace("pooling: 80", "reuse: meta-2020"),
            "small.yaml:5:46: tables[0].reuse: unknown reuse histogram 'meta-2020'. Did you mean 'meta-2021'",
        ),
        (SEQUENCE.replace("name: user", "name: item.0"), "tables: two tables are called 'item.0'"),
        (
            SEQUENCE.replace("kind: attention, sequence_length: 50, unit_mlp: [80, 40, 1]", "kind: product"),
            "interaction.kind: a product needs tables of role 'factor'",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=r"small\.yaml") as caught:
        catalog.ranking_model(path)
    assert message in str(caught.value)


def test_factors_of_a_product_have_one_width_and_layers_to_join_before(tmp_path):
    product = "ranking_model: x\ninteraction: {kind: product}\ntop_mlp: [8]\n"
    tables = "tables: [{rows: 5, dimension: 8, role: factor}, {rows: 5, dimension: 4, role: factor}]\n"
    with pytest.raises(InputError, match=r"task_mlp: needs the layers after the product"):
        catalog.ranking_model(written(tmp_path, product + tables))
    with pytest.raises(InputError, match=r"tables\[1\]\.dimension: is 4, but the factors before have 8"):
        catalog.ranking_model(written(tmp_path, product + tables + "task_mlp: [1]\n"))


def test_a_missing_file_is_refused():
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        catalog.ranking_model("nowhere.yaml")


def blocks(language: str) -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "ranking-models.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_files_that_the_page_shows_can_be_read(tmp_path):
    dlrm, feed = (catalog.ranking_model(written(tmp_path, text)) for text in blocks("yaml"))
    assert (len(dlrm.tables), dlrm.interaction.kind) == (64, "dot")
    assert [table.name for table in feed.tables][-3:] == ["context.0", "context.1", "context.2"]
    assert (feed.step_width, feed.tasks) == (64, 3)


def test_the_page_shows_the_table_that_the_command_prints():
    (table,) = blocks("text")
    assert table.strip() == catalog.describe("ranking-models")
