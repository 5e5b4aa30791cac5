"""What a scenario may say: the only place that knows field names."""
