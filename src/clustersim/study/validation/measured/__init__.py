"""A real run of a serving engine beside its simulation: `clustersim validate my-run.json --scenario …`."""
