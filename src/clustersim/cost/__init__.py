"""Cost: operators of a model, and a device's time for each."""
