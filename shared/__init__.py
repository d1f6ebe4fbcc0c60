"""What needs neither framework: configuration, data, randomness, files, the driver.

Importing anything from here imports neither PyTorch nor JAX.
"""

__version__ = "0.1.0.dev0"
