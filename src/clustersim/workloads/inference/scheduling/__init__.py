"""Which requests run in the next engine step."""
