"""Ranking models: embedding tables divided over devices, training steps and services of queries."""
