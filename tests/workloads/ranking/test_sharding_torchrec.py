"""TorchRec's estimator: closed forms give the numbers of TorchRec's own tests, and those made by hand."""

import numpy as np
import pytest
from sharding_cases import devices, plan_of, table

from clustersim.workloads.ranking.sharding.options import TablesToPlace
from clustersim.workloads.ranking.sharding.plan import Placement
from clustersim.workloads.ranking.sharding.torchrec import TORCHREC, TorchRecCost

MEMORY = 897 * 2**30
IN_NODE = 600 * 2**30
NIC = 12.5 * 2**30


def perf(kind, *, parts=1, dimension=10, ranks=2, per_node=2, pooling=1.0, batch=512.0, place=None, **cost):
    """Estimate one shard of a table of 100 rows; milliseconds, as TorchRec has them."""
    cost = TorchRecCost(ranks=ranks, ranks_per_node=per_node, **cost)
    tables = TablesToPlace(
        tables=(table(rows=100, dimension=dimension, pooling=pooling),),
        placements=[place or Placement()],
        ranks=ranks,
        batch=batch,
        precision="fp32",
        optimizer="sgd",
        cost=cost,
    )
    work = tables.work(np.array([0]), np.array([float(dimension)]), np.array([1.0 / parts]), kind)
    found = cost.perf(work)
    parts = (found.forward_compute, found.forward_exchange, found.backward_compute, found.backward_exchange)
    return [float(each[0]) * 1e3 for each in parts]


# pytorch/torchrec@a48cef79 torchrec/distributed/planner/tests/test_shard_estimators.py, test_1_table_perf:
# 100 rows of 10 columns, 2 ranks of one node, 512 samples each.
# Milliseconds: forward compute and exchange, backward compute and exchange.
PUBLISHED = {
    (
        "table-wise",
        1,
        "hbm",
    ): "0.000327460077428233 6.357828776041667e-05 0.000654920154856466 6.357828776041667e-05",
    (
        "table-wise",
        1,
        "uvm",
    ): "0.09179115295410156 6.357828776041667e-05 0.18358230590820312 6.357828776041667e-05",
    ("table-wise", 1, "uvm-cached"): (
        "0.01432837509527439 6.357828776041667e-05 0.02865675019054878 6.357828776041667e-05"
    ),
    ("row-wise", 2, "hbm"): (
        "6.804365245261984e-05 6.357828776041667e-05 0.0001360873049052397 0.00016798276699240525"
    ),
    ("row-wise", 2, "uvm"): "0.019073486328125 6.357828776041667e-05 0.03814697265625 0.029329458872477215",
    ("row-wise", 2, "uvm-cached"): (
        "0.0029773246951219513 6.357828776041667e-05 0.0059546493902439025 0.004631910866838161"
    ),
    ("table-row-wise", 2, "hbm"): (
        "6.804365245261984e-05 6.357828776041667e-05 0.0001360873049052397 0.00016798276699240525"
    ),
    ("data-parallel", 1, "hbm"): "9.356002212235228e-05 0.0 0.00018712004424470456 0.000225593945387348",
}


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: " ".join(map(str, case)))
def test_the_numbers_of_torchrecs_own_tests(case):
    kind, parts, place = case
    found = perf(kind, parts=parts, place=Placement(place, 0.2))
    assert found == pytest.approx([float(each) for each in PUBLISHED[case].split()], rel=1e-12)


def test_a_whole_block_pays_no_penalty_by_hand():
    # 512·2 look-ups: 8,192 bytes of indices, 524,288 of rows, 524,288 of outputs, of 897 GiB/s.
    forward, sent, backward, back = perf("table-wise", dimension=128)
    assert forward == pytest.approx((8_192 + 2 * 524_288) / MEMORY * 1e3, rel=1e-12)
    assert (sent, back) == pytest.approx((524_288 / IN_NODE * 1e3,) * 2, rel=1e-12)
    assert backward == pytest.approx(2 * forward, rel=1e-12)


@pytest.mark.parametrize(
    ("dimension", "penalty"), [(128, 1.0), (127, 1.15), (64, 1.15), (63, 1.75), (32, 1.75)]
)
def test_short_rows_pay_the_published_penalties(dimension, penalty):
    moved = 1024 * (8 + 2 * 4 * dimension)
    assert perf("table-wise", dimension=dimension)[0] == pytest.approx(
        penalty * moved / MEMORY * 1e3, rel=1e-12
    )


def test_between_nodes_the_adapter_counts():
    assert perf("table-wise", dimension=128, per_node=1)[1] == pytest.approx(524_288 / NIC * 1e3, rel=1e-12)


def test_table_row_wise_over_two_nodes_sums_inside_and_sends_an_eighth_between():
    sent = perf("table-row-wise", parts=8, dimension=128, ranks=16, per_node=8)[1]
    outputs = 512 * 16 * 128 * 4
    assert sent == pytest.approx((outputs / IN_NODE + outputs / 8 / NIC) * 1e3, rel=1e-12)


def test_weights_double_the_indices_and_add_a_kernel():
    plain, weighted = perf("table-wise", dimension=128), perf("table-wise", dimension=128, weighted=True)
    assert weighted[0] - plain[0] == pytest.approx(8_192 / MEMORY * 1e3, rel=1e-9)
    assert weighted[2] == pytest.approx(3.1 * weighted[0], rel=1e-12)


def test_reading_only_costs_nothing_backward():
    assert perf("row-wise", parts=2, training=False)[2:] == [0.0, 0.0]


def test_the_constants_are_the_published_ones(shared):
    import json

    published = json.loads(shared("ranking/torchrec_planner_constants.json").read_text())
    assert published["HBM_MEM_BW_GiBps"] * 2**30 == TORCHREC.memory_bytes_per_s
    assert published["HBM_TO_DDR_MEM_BW_GiBps"] * 2**30 == TORCHREC.host_bytes_per_s
    assert published["INTRA_NODE_BANDWIDTH_GiBps"] * 2**30 == TORCHREC.in_node_bytes_per_s
    assert published["CROSS_NODE_BANDWIDTH_GiBps"] * 2**30 == TORCHREC.between_nodes_bytes_per_s
    assert published["BIGINT_DTYPE_bytes"] == TORCHREC.index_bytes
    assert published["FULL_BLOCK_EMB_DIM"] == TORCHREC.full_block_columns
    assert published["HALF_BLOCK_PENALTY"] == TORCHREC.half_block_penalty
    assert published["QUARTER_BLOCK_PENALTY"] == TORCHREC.quarter_block_penalty
    assert published["BWD_COMPUTE_MULTIPLIER"] == TORCHREC.backward_factor
    assert published["WEIGHTED_KERNEL_MULTIPLIER"] == TORCHREC.weighted_factor
    assert published["BATCHED_COPY_PERF_FACTOR"] == TORCHREC.batched_copy_factor
    assert published["DP_ELEMENTWISE_KERNELS_PERF_FACTOR"] == TORCHREC.dense_update_factor


def test_the_planner_balances_what_it_is_told_to():
    tables = [
        table(f"t{n}", dimension=width, pooling=float(hot))
        for n, (width, hot) in enumerate(((32, 10), (128, 4)) * 4)
    ]
    plans = {
        cost: plan_of(tables, on=devices(4), cost=cost, plan="table-wise")
        for cost in ("torchrec", "lookups", "kernels")
    }
    for cost, plan in plans.items():
        assert plan.imbalance < 1.7, cost
    assert plans["torchrec"].predicted_s.max() != plans["lookups"].predicted_s.max()
