"""LLM serving beside published measurements."""
