"""One replica: its GPUs, its memory, its engine loop and its network."""
