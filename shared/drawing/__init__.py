"""Pictures of samples and curves."""
