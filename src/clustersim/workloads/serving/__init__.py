"""What services of every kind have in common: when requests arrive, queues, and statistics of latency."""
