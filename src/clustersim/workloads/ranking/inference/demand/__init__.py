"""Who sends queries, when, and with how many candidates."""
