"""Training runs of large models beside published iteration times."""
