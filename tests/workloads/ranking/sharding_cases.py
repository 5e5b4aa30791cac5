"""Tables, devices and plans that the tests of sharding share."""

from hypothesis import strategies as st

from clustersim import catalog
from clustersim.catalog.ranking_models import EmbeddingTable, Interaction, RankingModel
from clustersim.spec.ranking.sharding import ShardingSpec
from clustersim.workloads.ranking.sharding.devices import Devices
from clustersim.workloads.ranking.sharding.planner import plan_shards


def table(name="t", rows=1000, dimension=64, **fields):
    return EmbeddingTable(name=name, rows=rows, dimension=dimension, **fields)


def model_of(*tables):
    return RankingModel(
        name="made up",
        dense_features=13,
        bottom_mlp=(64,),
        tables=tables,
        interaction=Interaction(kind="dot"),
        top_mlp=(1,),
    )


def devices(ranks=8, *, per_node=4, memory_bytes=80e9, accelerator="h100"):
    return Devices(
        accelerator=catalog.accelerator(accelerator),
        ranks=ranks,
        ranks_per_node=min(ranks, per_node),
        memory_bytes=memory_bytes,
        scale_up_bytes_per_s=450e9,
        scale_out_bytes_per_s=50e9,
        host_bytes_per_s=55e9,
    )


def plan_of(tables, /, *, on=None, batch=128.0, optimizer="rowwise-adagrad", **sharding):
    return plan_shards(
        model_of(*tables), ShardingSpec(**sharding), devices=on or devices(), batch=batch, optimizer=optimizer
    )


some_tables = st.lists(
    st.builds(
        lambda **fields: fields,
        rows=st.integers(1, 10**6),
        dimension=st.sampled_from([4, 16, 64, 128, 200, 512]),
        pooling=st.integers(1, 60).map(float),
        pooled=st.booleans(),
        skew=st.sampled_from([None, 1.05]),
    ),
    min_size=1,
    max_size=12,
).map(lambda listed: tuple(table(f"t{n}", **fields) for n, fields in enumerate(listed)))

some_devices = st.sampled_from([(1, 1), (2, 2), (4, 4), (8, 4), (6, 2), (16, 8)]).map(
    lambda shape: devices(shape[0], per_node=shape[1])
)
