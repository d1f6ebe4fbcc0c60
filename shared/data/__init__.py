"""Training data: where they come from, how they are kept."""
