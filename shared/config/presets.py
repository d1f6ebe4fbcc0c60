"""One named configuration per published GAN; a variant is a row of this table."""

import dataclasses
from typing import Any

from shared.config.train_config import TrainConfig

# Radford et al. 2015, arXiv:1511.06434, in the size that a CPU trains in minutes.
_DCGAN = TrainConfig(preset="dcgan")

_WGAN_GP = dataclasses.replace(
    _DCGAN,
    preset="wgan-gp",
    objective="wasserstein",
    penalty="wgan-gp",
    d_norm="instance",
    n_critic=5,
    adam_betas=(0.5, 0.9),
)
_CGAN = dataclasses.replace(
    _DCGAN, preset="cgan", conditional=True, g_norm="conditional-batch"
)
# Five times the usual rates: a thin D that may not be steep says little at first, and
# at 2e-4 a run of this length ends before the digits are there.
_SPECTRAL_NORM: dict[str, Any] = {
    "d_norm": "none",
    "d_weight_norm": "spectral",
    "g_lr": 1e-3,
    "d_lr": 1e-3,
}
_POINTS = TrainConfig(
    preset="ring",
    dataset="ring",
    image_size=1,
    architecture="mlp",
    width=128,
    z_dim=2,
    batch_size=256,
    g_norm="none",
    d_norm="none",
    steps=2000,
    g_lr=1e-3,
    d_lr=1e-3,
    log_every=20,
    sample_every=100,
    save_every=1000,
)
# Miyato et al. 2018, arXiv:1802.05957, with the training of mimicry (Lee and Town 2020,
# arXiv:2005.02494): the authors' own G updates have twice D's batch.
_SNGAN = TrainConfig(
    preset="sngan-cifar10",
    dataset="cifar10",
    architecture="sngan-resnet",
    width=128,
    z_dim=128,
    d_norm="none",
    d_weight_norm="spectral",
    objective="hinge",
    n_critic=5,
    adam_betas=(0.0, 0.9),
    lr_schedule="linear",
    steps=100_000,
    log_every=50,
    sample_every=500,
    save_every=2000,
)
# Zhang et al. 2019, arXiv:1805.08318, section 5, with mimicry's networks for 32x32:
# spectral norm in G too, one update of D for each of G, D's rate four times G's; but
# batches of 64, where the paper has 256.
_SAGAN = dataclasses.replace(
    _SNGAN,
    preset="sagan-cifar10",
    architecture="sagan",
    conditional=True,
    g_norm="conditional-batch",
    g_weight_norm="spectral",
    n_critic=1,
    g_lr=1e-4,
    d_lr=4e-4,
    lr_schedule="constant",
)
# Brock et al. 2019, arXiv:1809.11096, with the training of the authors' PyTorch code
# for CIFAR-10. Its network there has neither attention nor hierarchical latents nor a
# shared embedding, and other initial weights; this one has what the paper's has, and
# the paper's orthogonal regularisation, which the code's scripts leave off. Their
# average of G is a copy of it for the first 1,000 updates.
_BIGGAN = TrainConfig(
    preset="biggan-cifar10",
    dataset="cifar10",
    architecture="biggan",
    width=64,
    z_dim=128,
    conditional=True,
    d_norm="none",
    g_weight_norm="spectral",
    d_weight_norm="spectral",
    objective="hinge",
    n_critic=4,
    batch_size=50,
    adam_betas=(0.0, 0.999),
    ema_decay=0.9999,
    g_orthogonal=1e-4,
    steps=125_000,
    log_every=50,
    sample_every=500,
    save_every=2000,
)
# Huang et al. 2024, arXiv:2501.05441, appendix D: gamma / 2 is the penalty's weight.
_R3GAN = TrainConfig(
    preset="r3gan-stacked-mnist",
    dataset="stacked-mnist",
    architecture="r3gan",
    width=768,
    z_dim=64,
    g_norm="none",
    d_norm="none",
    objective="relativistic",
    penalty="r1-r2",
    penalty_weight=0.5,
    final_penalty_weight=0.05,
    g_own_batch=True,
    batch_size=512,
    adam_betas=(0.0, 0.9),
    final_beta2=0.99,
    final_ema_half_life=500_000.0,
    burn_in_images=2_000_000,
    steps=10_000_000 // 512,
    log_every=50,
    sample_every=500,
    save_every=2000,
)
# Karras et al. 2020, arXiv:1912.04958, in the setting of the authors' PyTorch code that
# repeats the paper at 256 pixels: gamma / 2 is the penalty's weight.
_STYLEGAN2 = TrainConfig(
    preset="stylegan2-256",
    dataset="folder:photos",
    image_size=256,
    architecture="stylegan2",
    width=64,
    z_dim=512,
    g_norm="none",
    d_norm="none",
    minibatch_std=8,
    penalty="r1",
    penalty_weight=0.5,
    penalty_every=16,
    path_length=2.0,
    style_mixing=0.9,
    g_lr=2.5e-3,
    d_lr=2.5e-3,
    adam_betas=(0.0, 0.99),
    ema_half_life=20_000.0,
    steps=25_000_000 // 64,
    log_every=50,
    sample_every=500,
    save_every=2000,
)
_ORIGINAL: dict[str, Any] = {
    "image_size": 64,
    "width": 64,
    "steps": None,
    "epochs": 30.0,
    "log_every": 50,
    "sample_every": 500,
    "save_every": 2000,
}

PRESETS: dict[str, TrainConfig] = {
    config.preset: config
    for config in (
        # What makes the best images in a minute or two of a CPU, by the search in
        # docs/quick.md: the loss of 2014 with R1 (Mescheder et al. 2018,
        # arXiv:1801.04406) on thin networks and small batches, with high rates, no
        # momentum, and an average of G, by which it is judged.
        dataclasses.replace(
            _DCGAN,
            preset="quick",
            penalty="r1",
            penalty_weight=0.5,
            d_norm="none",
            width=16,
            batch_size=32,
            g_lr=2e-3,
            d_lr=2e-3,
            adam_betas=(0.0, 0.9),
            ema_decay=0.998,
            steps=3500,
            log_every=25,
            sample_every=175,
            save_every=875,
        ),
        # Goodfellow et al. 2014, arXiv:1406.2661, with DCGAN's networks.
        TrainConfig(preset="gan"),
        _DCGAN,
        # Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1.
        dataclasses.replace(
            _DCGAN,
            preset="wgan",
            objective="wasserstein",
            weight_clip=0.01,
            n_critic=5,
            optimizer="rmsprop",
            g_lr=5e-5,
            d_lr=5e-5,
        ),
        # Gulrajani et al. 2017, arXiv:1704.00028, Algorithm 1, but with DCGAN's rate
        # and beta1.
        _WGAN_GP,
        # Mirza and Osindero 2014, arXiv:1411.1784, with the conditioning of Miyato and
        # Koyama 2018, arXiv:1802.05637.
        _CGAN,
        # Mao et al. 2017, arXiv:1611.04076, with the rates of its section 4.1.
        dataclasses.replace(
            _DCGAN, preset="lsgan", objective="least-squares", g_lr=1e-3, d_lr=1e-3
        ),
        # Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957.
        dataclasses.replace(
            _DCGAN, preset="hinge", objective="hinge", **_SPECTRAL_NORM
        ),
        # Kodali et al. 2017, arXiv:1705.07215; layer norm, as batch norm rules a
        # per-sample penalty out.
        dataclasses.replace(_DCGAN, preset="dragan", penalty="dragan", d_norm="layer"),
        # Jolicoeur-Martineau 2018, arXiv:1807.00734, with her spectral norm.
        dataclasses.replace(
            _DCGAN,
            preset="relativistic",
            objective="relativistic",
            **_SPECTRAL_NORM,
        ),
        # Points in the plane, where everything can be seen in seconds; the grid's modes
        # sharpen late.
        *(
            dataclasses.replace(_POINTS, preset=name, dataset=name, steps=steps)
            for name, steps in (("ring", 2000), ("grid", 5000), ("swiss-roll", 2000))
        ),
        # The original experiments, at full size.
        dataclasses.replace(_DCGAN, preset="gan-mnist", dataset="mnist", **_ORIGINAL),
        dataclasses.replace(
            _DCGAN,
            preset="dcgan-cifar10",
            dataset="cifar10",
            batch_size=128,
            **(_ORIGINAL | {"epochs": 25.0}),
        ),
        dataclasses.replace(
            _WGAN_GP, preset="wgan-gp-mnist", dataset="mnist", **_ORIGINAL
        ),
        dataclasses.replace(_CGAN, preset="cgan-mnist", dataset="mnist", **_ORIGINAL),
        # Residual networks, in a size that a CPU trains, and as published.
        dataclasses.replace(
            _SNGAN,
            preset="sngan",
            dataset="digits",
            width=16,
            n_critic=1,
            steps=1200,
            log_every=10,
            sample_every=50,
            save_every=400,
        ),
        _SNGAN,
        # Miyato and Koyama 2018, arXiv:1802.05637: conditional batch norm, projection.
        dataclasses.replace(
            _SNGAN,
            preset="cgan-pd-cifar10",
            conditional=True,
            g_norm="conditional-batch",
        ),
        # Gulrajani et al. 2017, arXiv:1704.00028, appendix F, without labels.
        dataclasses.replace(
            _SNGAN,
            preset="wgan-gp-resnet-cifar10",
            architecture="wgan-gp-resnet",
            d_weight_norm="none",
            objective="wasserstein",
            penalty="wgan-gp",
        ),
        # SAGAN in a size that a CPU trains, at several times the rates.
        dataclasses.replace(
            _SAGAN,
            preset="sagan",
            dataset="digits",
            width=16,
            g_lr=5e-4,
            d_lr=2e-3,
            steps=1200,
            log_every=10,
            sample_every=50,
            save_every=400,
        ),
        _SAGAN,
        # BigGAN in a size that a CPU trains, at several times the rates.
        dataclasses.replace(
            _BIGGAN,
            preset="biggan",
            dataset="digits",
            width=4,
            z_dim=64,
            n_critic=1,
            batch_size=64,
            g_lr=5e-4,
            d_lr=2e-3,
            ema_decay=0.99,
            steps=1200,
            log_every=10,
            sample_every=50,
            save_every=400,
        ),
        _BIGGAN,
        # R3GAN in a size that a CPU trains, with the published shares of the run for
        # the burn-in and the average, but five times the rates: the run is short.
        dataclasses.replace(
            _R3GAN,
            preset="r3gan",
            dataset="digits",
            image_size=16,
            width=32,
            batch_size=32,
            g_lr=1e-3,
            d_lr=1e-3,
            final_ema_half_life=1600.0,
            burn_in_images=6400,
            steps=1000,
            log_every=10,
            sample_every=50,
            save_every=400,
        ),
        # As published.
        _R3GAN,
        # As published, by class.
        dataclasses.replace(
            _R3GAN,
            preset="r3gan-cifar10",
            dataset="cifar10",
            conditional=True,
            augment="ada:r3gan",
            augment_p=0.0,
            final_augment_p=0.55,
            flip=True,
            penalty_weight=0.025,
            final_penalty_weight=0.0025,
            final_g_lr=5e-5,
            final_d_lr=5e-5,
            final_ema_half_life=5_000_000.0,
            burn_in_images=20_000_000,
            steps=250_000_000 // 512,
        ),
        # StyleGAN2 in a size that a CPU trains; as where its authors have small images,
        # without path lengths and style mixing.
        dataclasses.replace(
            _STYLEGAN2,
            preset="stylegan2",
            dataset="digits",
            image_size=32,
            width=16,
            z_dim=64,
            minibatch_std=4,
            penalty_weight=0.05,
            path_length=0.0,
            style_mixing=0.0,
            batch_size=32,
            ema_half_life=2000.0,
            steps=1000,
            log_every=10,
            sample_every=50,
            save_every=400,
        ),
        # As published.
        _STYLEGAN2,
        # Karras et al. 2020, arXiv:2006.06676, by class and without augmentation. Where
        # the authors' average rises in a straight line, its half-life does so by half a
        # cosine. Their G is slowed down as if it had path lengths: 4/5 of the rate is
        # here too, but not its beta2, 0.99^(4/5).
        dataclasses.replace(
            _STYLEGAN2,
            preset="stylegan2-cifar10",
            dataset="cifar10",
            image_size=32,
            architecture="stylegan2-cifar",
            width=512,
            conditional=True,
            minibatch_std=32,
            penalty_weight=0.005,
            path_length=0.0,
            style_mixing=0.0,
            g_lr=2e-3,
            ema_half_life=0.0,
            final_ema_half_life=500_000.0,
            burn_in_images=10_000_000,
            steps=100_000_000 // 64,
        ),
    )
}

SUMMARIES = {
    "quick": "the best images within minutes on a CPU: what trains by default",
    "gan": "Goodfellow 2014's game with DCGAN's networks; digits at 32x32, minutes",
    "dcgan": "Radford 2015: convolutions, batch norm; digits at 32x32, minutes",
    "wgan": "Arjovsky 2017: a critic of clipped weights, whose estimate should fall",
    "wgan-gp": "Gulrajani 2017: a critic of slope 1, five updates for one of G",
    "cgan": "Mirza 2014, Miyato 2018: images of a class that you choose",
    "lsgan": "Mao 2017: squared errors, which also pull back what is far off",
    "hinge": "Lim 2017, Miyato 2018: hinge loss, spectral norm; as in SAGAN, BigGAN",
    "dragan": "Kodali 2017: D's slope is held near 1 around the data",
    "relativistic": "Jolicoeur-Martineau 2018: real beside generated, not each alone",
    "ring": "8 Gaussians in the plane: modes, and how D sees them, in seconds",
    "grid": "25 Gaussians in the plane: more modes to lose",
    "swiss-roll": "a spiral in the plane: a thin curve instead of modes",
    "sngan": "Miyato 2018: residual networks with spectral norm, hinge loss; digits",
    "sngan-cifar10": "the same at full size: CIFAR-10 at 32x32, days without a GPU",
    "cgan-pd-cifar10": "Miyato and Koyama 2018: the same by class, with projection",
    "wgan-gp-resnet-cifar10": "Gulrajani 2017: WGAN-GP's residual networks, CIFAR-10",
    "sagan": "Zhang 2019: self-attention, spectral norm in both, two rates; digits",
    "sagan-cifar10": "the same at full size: CIFAR-10 by class, days without a GPU",
    "biggan": "Brock 2019: one embedding and a part of z for each block of G; digits",
    "biggan-cifar10": "the same at full size: CIFAR-10 by class, needs a GPU",
    "r3gan": "Huang 2024: no norm, no tricks, R1 + R2 at each step; digits at 16x16",
    "r3gan-stacked-mnist": "the same at full size: 1,000 modes at 32x32, needs GPUs",
    "r3gan-cifar10": "the same by class: CIFAR-10, augmented, needs GPUs",
    "stylegan2": "Karras 2020: styles and noise in each layer of G, R1; digits",
    "stylegan2-256": "the same at full size: a folder's images at 256x256, needs GPUs",
    "stylegan2-cifar10": "the same as its authors had it for CIFAR-10, by class, a GPU",
    "gan-mnist": "the original at full size: MNIST at 64x64, 30 epochs, for a GPU",
    "dcgan-cifar10": "the same in colour: CIFAR-10 at 64x64, 25 epochs, for a GPU",
    "wgan-gp-mnist": "WGAN-GP at full size: MNIST at 64x64, 30 epochs, for a GPU",
    "cgan-mnist": "digits by class at full size: MNIST at 64x64, 30 epochs, for a GPU",
}
"""What each is, in a line for ``--help``."""


def changed_fields(config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Fields that are not the preset's: the value, and the preset's value."""
    preset = PRESETS.get(config.preset, TrainConfig())
    pairs = {
        field.name: (getattr(config, field.name), getattr(preset, field.name))
        for field in dataclasses.fields(config)
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
