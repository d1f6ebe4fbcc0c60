"""Generative adversarial networks in PyTorch; `gans_jax` is the twin."""
