"""What is told about a ranking service after a run."""
