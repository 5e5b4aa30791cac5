"""Models from files of one's own: tables of layers, shapes of transformers, Python objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import clustersim as cs
from clustersim import catalog
from clustersim.catalog.layer_tables import LayerTableModel
from clustersim.catalog.models import TransformerModel
from clustersim.cost.training.training_cost import training_cost
from clustersim.errors import InputError

TABLE = """\
model: small
unit: volume
layers:
  - {name: conv, kind: conv, flops: 2.36027904e8, parameters: 9408, input_elements: 150528,
     output_elements: 802816}
  - {name: norm, kind: norm, parameters: 128, input_elements: 802816, output_elements: 802816}
  - {name: words, kind: embedding, parameters: 64000, input_elements: 10, output_elements: 640}
  - {name: scores, kind: product, gemm: [64, 64, 32], input_elements: 4096, output_elements: 4096}
  - {name: gelu, kind: elementwise, input_elements: 4096, output_elements: 4096}
  - {name: fc, kind: linear, flops: 8192, parameters: 4096, input_elements: 64, output_elements: 64,
     repeat: 2}
"""
ROWS = """\
name,kind,flops,parameters,input_elements,output_elements,repeat,m,n,k
conv,conv,236027904,9408,150528,802816,,,,
norm,norm,,128,802816,802816,,,,
words,embedding,,64000,10,640,,,,
scores,product,,,4096,4096,,64,64,32
gelu,elementwise,,,4096,4096,,,,
fc,linear,8192,4096,64,64,2,,,
"""


def written(folder: Path, text: str, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_has_the_sums_of_its_rows(tmp_path):
    model = catalog.model(str(written(tmp_path, TABLE)))
    assert model.parameters == 9408 + 128 + 64000 + 2 * 4096
    assert model.flops_forward == 236027904 + 2 * 64 * 64 * 32 + 2 * 8192
    assert [layer.name for layer in model.layers][-2:] == ["fc.0", "fc.1"]
    assert (model.name, model.unit) == ("small", "volume")


def test_csv_and_yaml_of_one_table_give_one_model(tmp_path):
    from_yaml = catalog.model(str(written(tmp_path, TABLE)))
    from_csv = catalog.model("small.csv", base=written(tmp_path, ROWS, "small.csv").parent)
    assert from_csv == replace(from_yaml, unit="image")


def test_the_product_of_a_layer_follows_from_its_flops_weights_and_output(tmp_path):
    """The first convolution of ResNet-50: 112 × 112 pixels, 64 channels, 7 × 7 × 3 inputs of each."""
    model = catalog.model(str(written(tmp_path, TABLE)))
    assert model.layers[0].gemm == catalog.model("resnet-50").layers[0].gemm == (112 * 112, 64, 147)
    assert model.layers[-1].gemm == (1, 64, 64)


def test_every_kind_of_layer_has_kernels_in_both_passes(tmp_path):
    cost = training_cost(
        catalog.model(str(written(tmp_path, TABLE))),
        catalog.accelerator("h100-sxm5-80gb"),
        precision="bf16",
        micro_batch=4,
    )
    assert all(layer.forward.seconds > 0 and layer.backward.seconds > 0 for layer in cost.layers)
    by_name = {layer.name: layer for layer in cost.layers}
    products = (by_name["scores"].backward.compute_s, by_name["scores"].forward.compute_s)
    assert products[0] == pytest.approx(2 * products[1], rel=0.5)


def test_a_scenario_trains_what_a_file_beside_it_describes(tmp_path):
    written(tmp_path, TABLE, "my-layers.yaml")
    scenario = written(
        tmp_path,
        """\
name: mine
cluster: {topology: {kind: star, nodes: 1, node: dgx-h100}, fabric: {link: infiniband-ndr}}
workloads:
  - {name: job, kind: training, model: my-layers.yaml, gpus: 2, micro_batch: 8, steps: 1}
""",
        "mine.yaml",
    )
    first = cs.load(scenario)
    assert cs.run(first).outcomes["job"].facts["parameters"] == 81728.0
    before = first.content_hash()
    written(tmp_path, TABLE.replace("repeat: 2", "repeat: 3"), "my-layers.yaml")
    assert cs.load(scenario).content_hash() != before


@pytest.mark.parametrize("name", ["llama-3-8b", "deepseek-v3", "mixtral-8x7b", "bert-large", "vit-b-16"])
def test_a_transformer_made_in_python_comes_back_from_its_file(name, tmp_path):
    model = catalog.model(name)
    path = catalog.save_model(model, tmp_path / "copy.yaml")
    assert catalog.model(str(path)) == model


def test_a_layer_table_made_in_python_comes_back_from_its_file(tmp_path):
    model = catalog.model("resnet-50")
    assert isinstance(model, LayerTableModel)
    assert catalog.model(str(catalog.save_model(model, tmp_path / "copy.yaml"))) == model


def test_a_shape_fills_in_what_follows_from_heads_and_width(tmp_path):
    shape = "layers: 2, hidden: 64, heads: 4, ffn_hidden: 128, vocab: 10, max_sequence: 8"
    text = f"model: mine\ntransformer: {{{shape}}}\n"
    model = catalog.model(str(written(tmp_path, text)))
    assert isinstance(model, TransformerModel)
    assert (model.kv_heads, model.head_dim) == (4, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("kind: norm", "kind: nrom"), "small.yaml:6:18: layers[1].kind: "),
        (TABLE.replace("parameters: 128", "paramters: 128"), "Did you mean 'parameters'"),
        (TABLE.replace("gemm: [64, 64, 32], ", ""), "layers[3].gemm: is missing; a product"),
        (TABLE.replace("flops: 8192, ", ""), "layers[5].kind: a linear layer needs 'flops' and 'parameters'"),
        ("model: x\n", "give 'layers' (a table) or 'transformer' (a shape)"),
        (
            "published_parameters: 1e6\n" + TABLE,
            "small.yaml:1:1: published_parameters: is 1,000,000, but 81,728",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_in_a_model_file_is_told_with_its_place(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=r"small\.yaml") as caught:
        catalog.model(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS.replace("norm,norm", "norm,nrom"), "small.csv:3:2: layers[1].kind: "),
        (ROWS.replace("4096,4096,,64,64,32", "4096,4096,,64,,32"), "small.csv:5:8: layers[3].gemm"),
        (ROWS.replace("9408", "many"), "small.csv:2:4: layers[0].parameters: expected a whole number"),
        (ROWS + "a,b,c,d,e,f,g,h,i,j,k\n", "small.csv:8:1: has 11 cells, the first line names 10"),
        ("name,kind\n", "is empty"),
    ],
)
def test_a_mistake_in_a_table_of_csv_is_told_with_line_and_column(text, message, tmp_path):
    path = written(tmp_path, text, "small.csv")
    with pytest.raises(InputError) as caught:
        catalog.model(str(path))
    assert message in str(caught.value)


def test_a_model_is_written_to_yaml_only(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.yaml"):
        catalog.save_model(catalog.model("gpt2"), tmp_path / "model.json")
