"""What a service is asked: arrivals, lengths, and who sends the requests."""
