"""What training costs: operators of forward and backward passes, and a device's time for each."""
