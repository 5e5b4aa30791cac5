"""Ranking models beside published measurements."""
