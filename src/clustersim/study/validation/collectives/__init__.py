"""Collectives beside tables in the style of nccl-tests."""
