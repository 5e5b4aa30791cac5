"""Many runs: one, or variants over seeds, and checks against measurements."""
