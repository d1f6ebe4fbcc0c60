"""What needs neither framework: configuration, data, randomness, files, the driver.

Importing anything from here imports neither PyTorch nor JAX.
"""
