"""Kernel times beside public tables."""
