"""The driver: one loop for both twins."""
