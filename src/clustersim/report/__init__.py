"""Pictures and text made from results: thin, nothing is computed here that a result does not hold."""
