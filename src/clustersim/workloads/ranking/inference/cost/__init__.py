"""What a batch of a ranking service takes: rows, kernels, copies, memory."""
