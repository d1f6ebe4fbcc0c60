"""What a run's numbers say about its health."""
