"""One named configuration per published GAN; a variant is a row of this table."""

from shared.config import TrainConfig

# Radford et al. 2015, arXiv:1511.06434, in the size that a CPU trains in minutes.
_DCGAN = TrainConfig(preset="dcgan")

PRESETS: dict[str, TrainConfig] = {
    config.preset: config
    for config in (
        # Goodfellow et al. 2014, arXiv:1406.2661, with DCGAN's networks.
        TrainConfig(preset="gan"),
        _DCGAN,
        TrainConfig(
            preset="gan-mnist",
            dataset="mnist",
            image_size=64,
            width=64,
            steps=None,
            epochs=30,
            log_every=50,
            sample_every=500,
            save_every=2000,
        ),
        TrainConfig(
            preset="dcgan-cifar10",
            dataset="cifar10",
            image_size=64,
            width=64,
            batch_size=128,
            steps=None,
            epochs=25,
            log_every=50,
            sample_every=390,
            save_every=1950,
        ),
    )
}
