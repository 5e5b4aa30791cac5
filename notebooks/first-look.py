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
# # A training job and a chat service on one fabric
#
# A 64-GPU data-parallel job and a chat service share a 100 Gbit/s leaf-spine network that is
# oversubscribed 4:1. What does the training job cost the service's tail latency, and what would
# a faster network buy each of them?
#
# This file is the notebook's source; `jupytext --to ipynb first-look.py` makes an `.ipynb` of it.

# %%
import clustersim as cs

scenario = cs.load("scenarios/ddp-and-chat-on-one-fabric.yaml")
scenario.workloads

# %% [markdown]
# ## One run

# %%
result = cs.run(scenario, seed=1)
print(result.summary())

# %%
result.requests("chat").head()

# %%
result.plot.latency_cdf("chat")

# %% [markdown]
# The links between leaves and spines are where the two tenants meet:

# %%
result.plot.link_utilization()

# %% [markdown]
# One training iteration, kernel by kernel and collective by collective:

# %%
result.plot.gantt("pretrain", iteration=2)

# %% [markdown]
# ## Without the training job
#
# The same requests arrive (common random numbers), so every difference is the network's.

# %%
alone = scenario.with_(workloads=[w for w in scenario.workloads if w.name == "chat"])
quiet = cs.run(alone, seed=1)
for name, run in {"alone": quiet, "shared": result}.items():
    metrics = run.metrics()["chat"]
    print(f"{name:7} TTFT p99 {metrics['ttft_s.p99']:.2f} s   TPOT p99 {metrics['tpot_s.p99'] * 1e3:.0f} ms")

# %% [markdown]
# ## What an upgrade buys
#
# 800 Gbit/s in place of 100, over three seeds, with confidence intervals of the paired difference.

# %%
faster = scenario.with_(**{"cluster.fabric.bandwidth": "800 Gbit/s"})
comparison = cs.compare({"100G": scenario, "800G": faster}, seeds=3)
comparison

# %%
comparison.plot.change()
