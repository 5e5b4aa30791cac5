"""Services of ranking models: queries with candidates, answered in time."""
