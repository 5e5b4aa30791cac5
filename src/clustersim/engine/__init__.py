"""The simpy world: clock, GPUs, nodes, memory, links and the fluid fabric, and the activity trace.

`clustersim.World` holds them together; a workload needs nothing else of this layer.
"""
