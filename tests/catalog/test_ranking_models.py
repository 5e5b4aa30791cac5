"""Ranking models of the catalogue: table sizes, widths and FLOPs against what their authors state."""

from __future__ import annotations

import json

import pytest

from clustersim import catalog
from clustersim.catalog.ranking_layers import linear_layers
from clustersim.catalog.ranking_models import EmbeddingTable, Interaction, RankingModel
from clustersim.errors import CatalogError

NAMES = catalog.names("ranking-models")
GIB = 2**30


@pytest.mark.parametrize(
    ("name", "published", "digits", "unit"),
    [
        ("dlrm-dcnv2-mlperf", 97.36, 2, GIB),
        ("dlrm-dcnv2-mlperf", 104.54, 2, 1e9),
        ("dlrm-criteo-1tb", 84.85, 2, GIB),
        ("dlrm-criteo-1tb", 91.11, 2, 1e9),
        ("dlrm-nvidia-4b", 15.6, 1, GIB),
        ("dlrm-nvidia-22b", 84.9, 1, GIB),
        ("dlrm-nvidia-113b", 421.0, 0, GIB),
        ("dlrm-v3-mlperf", 1.03, 2, 1e12),
    ],
)
def test_all_tables_together_have_the_published_size(name, published, digits, unit):
    assert round(catalog.ranking_model(name).embedding_bytes("fp32") / unit, digits) == published


@pytest.mark.parametrize("name", NAMES)
def test_a_published_size_of_an_entry_is_what_its_rows_add_up_to(name):
    model = catalog.ranking_model(name)
    if model.published_embedding_bytes is not None:
        assert model.embedding_bytes("fp32") == pytest.approx(model.published_embedding_bytes, rel=1e-3)


def test_the_largest_table_of_the_extra_large_model_has_the_published_140_gib():
    """README of NVIDIA's DLRM: "The largest table weighs 140 GiB"."""
    tables = catalog.ranking_model("dlrm-nvidia-113b").tables
    assert round(max(table.rows * table.row_bytes("fp32") for table in tables) / GIB) == 140


@pytest.mark.parametrize(
    ("name", "billions"), [("dlrm-nvidia-4b", 4.2), ("dlrm-nvidia-22b", 22.8), ("dcnv2-nvidia-113b", 113.0)]
)
def test_a_name_with_billions_says_how_many_parameters_there_are(name, billions):
    model = catalog.ranking_model(name)
    parameters = model.embedding_parameters + model.dense_parameters
    assert parameters / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("dlrm-dcnv2-mlperf", "mlperf_dlrm_dcnv2"),
        ("dlrm-criteo-1tb", "criteo_1tb_one_hot_t3"),
        ("dlrm-nvidia-4b", "nvidia_criteo_t15"),
        ("dcnv2-nvidia-22b", "nvidia_criteo_t3"),
        ("dlrm-nvidia-113b", "nvidia_criteo_t0"),
    ],
)
def test_criteo_tables_equal_the_reference(name, key, shared):
    reference = json.loads(shared("ranking/dlrm_tables.json").read_text())[key]
    model = catalog.ranking_model(name)
    assert [table.rows for table in model.tables] == reference["num_embeddings"]
    assert {table.dimension for table in model.tables} == {reference["embedding_dim"]}
    assert model.lookups_per_sample == reference["derived_lookups_per_sample"]
    assert sum(table.rows for table in model.tables) == reference["derived_rows"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deeprecsys-rm1", "dlrm_rm1"),
        ("deeprecsys-rm2", "dlrm_rm2"),
        ("deeprecsys-rm3", "dlrm_rm3"),
        ("wide-and-deep", "wide_and_deep"),
        ("mt-wnd", "mtwnd"),
        ("ncf", "ncf"),
        ("dien", "dien"),
    ],
)
def test_tables_of_deeprecsys_equal_its_configurations(name, key, shared):
    reference = json.loads(shared("ranking/deeprecsys_model_configs.json").read_text())[key]
    model = catalog.ranking_model(name)
    rows = sorted(int(rows) for rows in reference["arch_embedding_size"].split("-"))
    assert sorted(table.rows for table in model.tables) == rows
    assert {table.dimension for table in model.tables} == {reference["arch_sparse_feature_size"]}
    assert {table.pooling for table in model.tables} == {reference["num_indices_per_lookup"]}
    top = [int(width) for width in reference["arch_mlp_top"].split("-")]
    assert [*model.top_mlp, *model.task_mlp][: len(top)] == top


def test_din_looks_250_behaviours_up_with_three_rows_each():
    model = catalog.ranking_model("din")
    behaviours = [table for table in model.tables if table.in_sequence]
    assert (len(behaviours), sum(table.pooling for table in behaviours)) == (250, 750.0)
    assert (model.step_width, model.interaction_width) == (32, 4 * 32)


@pytest.mark.parametrize(("name", "mflop"), [("neo-a", 638), ("neo-f", 5), ("neo-i", 60)])
def test_production_models_have_the_published_flops_and_parameters(name, mflop):
    """The free widths were chosen for this; the test holds them to it."""
    model = catalog.ranking_model(name)
    assert model.flops_per_sample / 1e6 == pytest.approx(mflop, rel=0.05)
    parameters = {"neo-a": 793e9, "neo-f": 12e12, "neo-i": 332e9}[name]
    assert model.embedding_parameters == pytest.approx(parameters, rel=0.001)


@pytest.mark.parametrize(
    ("name", "layers", "mean"), [("neo-a", 20, 3375), ("neo-f", 7, 490), ("neo-i", 43, 682)]
)
def test_production_models_have_the_published_number_and_width_of_layers(name, layers, mean):
    linear = list(linear_layers(catalog.ranking_model(name)))
    assert len(linear) == layers
    assert sorted(layer.outputs for layer in linear)[layers // 2] == mean


def test_published_flops_of_the_mlperf_models_are_met_as_far_as_they_are_stated():
    """40 MFLOP (DLRMv2; one digit) and 260 GFLOP (DLRMv3, by the choice of its length)."""
    second, third = (catalog.ranking_model(name) for name in ("dlrm-v2", "dlrm-v3"))
    assert second.flops_per_sample == pytest.approx(40e6, rel=0.2)
    assert third.flops_per_sample == pytest.approx(260e9, rel=0.02)


def test_dense_parameters_are_those_of_the_layers_written_out():
    """DLRM: 13-512-256-128 and 479-1024-1024-512-256-1, with biases."""
    bottom = 13 * 512 + 512 + 512 * 256 + 256 + 256 * 128 + 128
    top = 479 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 512 + 512 + 512 * 256 + 256 + 256 + 1
    assert catalog.ranking_model("dlrm-criteo-1tb").dense_parameters == bottom + top
    cross = 3 * (3456 * 512 + 512 * 3456 + 3456)
    wider = top + (3456 - 479) * 1024
    assert catalog.ranking_model("dlrm-dcnv2-mlperf").dense_parameters == bottom + cross + wider


def by_loops(model: RankingModel) -> float:
    """Forward FLOPs of one sample, layer by layer as a reader of the paper would add them up."""
    total, width = 0.0, model.dense_features
    for outputs in model.bottom_mlp:
        total += 2.0 * width * outputs
        width = outputs
    shape, sequence = model.interaction, 0.0
    features = [width] if width else []
    for table in model.tables:
        if table.role == "sequence" or not table.pooled:
            sequence += table.dimension * (1 if table.pooled else table.pooling)
        elif table.role == "feature":
            features.append(table.dimension)
    width = sum(features)
    step = sequence / shape.sequence_length if shape.sequence_length else 0
    if shape.kind == "dot":
        for first in features:
            total += sum(2.0 * first for _ in features)
        width = features[0] + sum(range(len(features)))
    elif shape.kind == "dcn-v2":
        for _ in range(shape.layers):
            total += 2.0 * width * width if shape.rank is None else 2 * 2.0 * width * shape.rank
    elif shape.kind == "attention":
        for _ in range(shape.sequence_length):
            inputs = shape.unit_inputs * step
            for outputs in shape.unit_mlp:
                total += 2.0 * inputs * outputs
                inputs = outputs
            total += 2.0 * step
        width += step
    elif shape.kind == "attention-gru":
        for _ in range(shape.sequence_length):
            total += 2.0 * shape.gates * shape.hidden * (step + shape.hidden)
            total += 2.0 * shape.hidden * shape.hidden
            total += 2.0 * shape.gates * shape.hidden * (shape.hidden + shape.hidden)
        width += shape.hidden
    elif shape.kind == "transformer":
        for _ in range(shape.layers):
            for position in range(shape.sequence_length):
                for wide in (shape.qk_dimension, shape.value_dimension):
                    total += 2.0 * step * shape.heads * 2 * wide
                    total += 2.0 * shape.heads * wide * (position + 1)
                total += 2.0 * shape.heads * shape.value_dimension * step
        width += step
    for outputs in model.top_mlp:
        total += 2.0 * width * outputs
        width = outputs
    factors = [table.dimension for table in model.tables if table.role == "factor"]
    for _ in range(model.tasks):
        inputs = width + (factors[0] if factors else 0)
        for outputs in model.task_mlp:
            total += 2.0 * inputs * outputs
            inputs = outputs
    return total


@pytest.mark.parametrize("name", NAMES)
def test_flops_are_those_of_plain_loops_over_the_layers(name):
    model = catalog.ranking_model(name)
    assert model.flops_per_sample == pytest.approx(by_loops(model), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_model_has_a_source_and_every_table_a_name_of_its_own(name):
    model = catalog.ranking_model(name)
    assert model.source.text
    assert len({table.name for table in model.tables}) == len(model.tables)


def test_a_precision_of_a_tables_own_holds_before_that_of_the_others():
    table = EmbeddingTable(name="items", rows=1000, dimension=64, precision="int8")
    model = RankingModel(
        name="small",
        dense_features=0,
        bottom_mlp=(),
        tables=(table, EmbeddingTable(name="users", rows=10, dimension=64)),
        interaction=Interaction(kind="concatenation"),
        top_mlp=(1,),
    )
    assert model.embedding_bytes("fp16") == 1000 * 64 + 10 * 64 * 2
    assert model.embedding_bytes("int4") == 1000 * 64 + 10 * 64 / 2
    with pytest.raises(CatalogError, match="Did you mean 'fp16'"):
        model.embedding_bytes("fp61")


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(CatalogError, match="Did you mean 'dlrm-dcnv2-mlperf'"):
        catalog.ranking_model("dlrm-dcnv2-mlprf")


def test_the_kind_is_listed_as_a_table_with_a_line_for_each_model():
    lines = catalog.describe("ranking-models").splitlines()
    assert [line.split()[0] for line in lines[1:]] == NAMES
    assert "97.36" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_a_described_model_sums_its_tables_up_in_ranges():
    text = catalog.describe("dlrm-v2")
    assert "tables.rows                3 to 40,000,000" in text
    assert "flops_per_sample           32.06 MFLOP" in text
    assert "interaction.heads" not in text
