"""How the embedding tables of a model are divided over devices."""
