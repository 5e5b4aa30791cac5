# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What LLM and ranking workloads need
#
# Five workloads on the same 64 GPUs: an LLM in training, its prompts and its answers, and a ranking model in
# training and in inference. What would more compute, memory or network bring each of them?
#
# This file is the notebook's source; `jupytext --to ipynb radar.py` makes an `.ipynb` of it.

# %%
import clustersim as cs

radar = cs.radar(what_if=False, memory=False)
print(radar.summary())

# %%
radar.plot.radar()

# %% [markdown]
# Shares of time are elasticities, and reruns with each resource 5 % slower and faster agree with them:

# %%
radar.frame().pivot(index="resource", columns="workload", values=["elasticity", "measured"]).round(3)

# %%
radar.needs_frame().set_index("workload").T

# %% [markdown]
# ## Where the slopes end
#
# Decoding is bound by memory bandwidth. What do two and four times of it bring, and what comes next?

# %%
decode = cs.radar("scenarios/radar/llm-decode.yaml", check=False, memory=False)
decode.plot.what_if()

# %% [markdown]
# ## Another network
#
# The same scenarios from 100 to 800 Gbit/s between the nodes.

# %%
from clustersim.report.plots.radar_moves import moves
from clustersim.study.radar.workload import shipped_scenarios

shipped = shipped_scenarios()
radars = {
    f"{rate} Gbit/s": cs.radar(
        {
            label: each.with_(**{"cluster.fabric.bandwidth": f"{rate} Gbit/s"})
            for label, each in shipped.items()
        },
        check=False,
        what_if=False,
        memory=False,
    )
    for rate in (100, 200, 400, 800)
}
moves(radars, title="From 100 to 800 Gbit/s")

# %% [markdown]
# ## Other devices
#
# From A100 to B200 arithmetic grows faster than the network: the same jobs become network jobs.

# %%
nodes = {"A100": "dgx-a100-80gb", "H100": "dgx-h100", "B200": "dgx-b200"}
radars = {
    name: cs.radar(
        {label: each.with_(**{"cluster.topology.node": node}) for label, each in shipped.items()},
        check=False,
        what_if=False,
        memory=False,
    )
    for name, node in nodes.items()
}
moves(radars, title="From A100 to B200")

# %% [markdown]
# The scale, from 8 to 1,024 GPUs, takes a minute: docs/radar-moves.md.
