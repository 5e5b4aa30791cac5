"""Replicas together: who gets the next request."""
