"""KV memory of a replica."""
