"""Generative adversarial networks in Flax; `gans_torch` is the twin."""
