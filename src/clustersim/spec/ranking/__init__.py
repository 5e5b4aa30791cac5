"""What a scenario may say about ranking models: training, serving, how tables are divided."""
