"""Metrics, tables and attribution of a service."""
