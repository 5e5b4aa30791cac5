"""What a training job may do beside plain training: one file for each technique."""
