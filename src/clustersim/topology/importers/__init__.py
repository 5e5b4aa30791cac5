"""Importers: graphs, machines and networks that others wrote, one file per format."""
