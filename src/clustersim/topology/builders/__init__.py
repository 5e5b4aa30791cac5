"""Builders: from a few numbers to the graph of a cluster, one file per kind."""
