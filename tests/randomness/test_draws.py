"""What a step consumes: shapes, fresh batches, and no dependence on how it is asked."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig
from shared.randomness import draws, noise
from shared.randomness.draws import Draws

COUNT = 50
CONFIG = TrainConfig(image_size=8, batch_size=8, z_dim=5, steps=100)
EVERYTHING = dataclasses.replace(
    CONFIG,
    n_critic=3,
    penalty="wgan-gp",
    d_norm="layer",
    label_flip=0.3,
    label_smoothing=0.1,
    instance_noise=0.5,
    lr_schedule="cosine",
    warmup_steps=4,
)
OWN_BATCH = dataclasses.replace(
    CONFIG,
    n_critic=2,
    g_own_batch=True,
    flip=True,
    penalty="wgan-gp",
    d_norm="layer",
    burn_in_images=100,
    final_penalty_weight=1.0,
    final_beta2=0.9,
    final_ema_half_life=50.0,
    augment="ada",
    augment_p=0.1,
    final_augment_p=0.6,
)
# Both penalties' noise is never drawn together.
DRAGAN = dataclasses.replace(CONFIG, penalty="dragan", d_norm="layer", n_critic=2)
# Maps of 4x4 and, twice, of 8x8; four layers with styles.
NOISY = dataclasses.replace(
    CONFIG,
    architecture="stylegan2",
    g_norm="none",
    d_norm="none",
    g_own_batch=True,
    style_mixing=0.75,
    path_length=2.0,
)

KNOWN_INDICES = [23, 45, 4, 48, 35, 40, 11, 3]
KNOWN_Z = [-0.6921561, 0.8812385, -1.829459]
KNOWN_FLIPS = [[0, 0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
KNOWN_NOISE = [0.1970096, -0.1271702, 0.6859442]


def draw(config: TrainConfig, steps: range, channels: int = 1) -> Draws:
    return draws.draw(config, channels, COUNT, 100, steps)


def fields(drawn: Draws) -> dict[str, NDArray[Any]]:
    return {k: v for k, v in drawn._asdict().items() if v is not None}


def test_shapes_and_types_of_everything() -> None:
    drawn = draw(EVERYTHING, range(4), channels=3)
    found = {k: (v.shape, v.dtype.name) for k, v in fields(drawn).items()}
    assert found == {
        "indices": ((4, 3, 8), "int32"),
        "z": ((4, 3, 8, 5), "float32"),
        "alpha": ((4, 3, 8), "float32"),
        "flips": ((4, 3, 2, 8), "bool"),
        "instance_noise": ((4, 4, 2, 8, 8, 8, 3), "float32"),
        "update_d": ((4,), "bool"),
        "g_lr": ((4,), "float64"),
        "d_lr": ((4,), "float64"),
    }
    noise = draw(DRAGAN, range(4), channels=3).penalty_noise
    assert noise is not None
    assert (noise.shape, noise.dtype.name) == ((4, 2, 8, 8, 8, 3), "float32")


def test_nothing_is_drawn_that_is_not_used() -> None:
    drawn = fields(draw(CONFIG, range(2)))
    assert drawn.keys() == {"indices", "z", "update_d", "g_lr", "d_lr"}


@pytest.mark.parametrize("config", [EVERYTHING, DRAGAN, OWN_BATCH, NOISY])
def test_steps_in_one_call_are_those_of_many_calls(config: TrainConfig) -> None:
    together = fields(draw(config, range(3, 9)))
    for row, step in enumerate(range(3, 9)):
        alone = fields(draw(config, range(step, step + 1)))
        assert alone.keys() == together.keys()
        for name in alone:
            np.testing.assert_array_equal(alone[name][0], together[name][row])


def test_each_update_of_d_has_a_fresh_batch() -> None:
    drawn = draw(EVERYTHING, range(6))
    # 6 full batches make an epoch: two steps of three updates.
    for first in (0, 2, 4):
        epoch = drawn.indices[first : first + 2].ravel()
        assert len(np.unique(epoch)) == 48


def test_g_s_own_batch_comes_last() -> None:
    drawn = draw(OWN_BATCH, range(4))
    found = {k: v.shape for k, v in fields(drawn).items()}
    assert found == {
        "indices": (4, 3, 8),
        "z": (4, 3, 8, 5),
        "mirrored": (4, 3, 8),
        "alpha": (4, 2, 8),
        "augmentation": (4, 3, 2, 8, 124),
        **dict.fromkeys(("update_d", "g_lr", "d_lr"), (4,)),
        **dict.fromkeys(("penalty_weight", "beta2", "ema_share", "augment_p"), (4,)),
    }
    share = slice(4, 8)
    for row, step in enumerate(range(4)):
        order = noise.batch_indices(0, step, 8, COUNT, "epoch order for G")
        np.testing.assert_array_equal(drawn.indices[row, 2], order)
        z = noise.normal(0, "latents for G", step, share, 5)
        np.testing.assert_array_equal(drawn.z[row, 2, share], z)
    # 6 full batches make an epoch, in which no image comes twice.
    seen = draw(OWN_BATCH, range(6)).indices[:, 2]
    assert len(np.unique(seen)) == 48


def test_each_sample_has_noise_maps_of_its_own() -> None:
    maps = fields(draw(NOISY, range(3)))["noise_maps"]
    assert (maps.shape, maps.dtype.name) == ((3, 2, 8, 144), "float32")
    assert len(np.unique(maps)) == maps.size
    for purpose, batch in (("noise maps", 0), ("noise maps for G", 1)):
        expected = noise.normal(0, purpose, 2, 8, 144)
        np.testing.assert_array_equal(maps[2, batch], expected)
    part = draws.draw(NOISY, 1, COUNT, 100, range(3), samples=slice(2, 6))
    assert part.noise_maps is not None
    np.testing.assert_array_equal(part.noise_maps, maps[:, :, 2:6])
    # After a rollback, others.
    again = fields(draws.draw(NOISY, 1, COUNT, 100, range(3), rollbacks=1))
    assert not np.isin(again["noise_maps"], maps).any()


def test_styles_are_mixed_from_some_layer_on() -> None:
    drawn = fields(draw(NOISY, range(200)))
    mixed = drawn["mixed"].reshape(-1, 4)
    # From no layer on, or from the second, third or fourth.
    kinds, counts = np.unique(mixed, axis=0, return_counts=True)
    assert kinds.astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 1],
        [0, 1, 1, 1],
    ]
    # A quarter each, up to five standard errors.
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 3 / 16)
    both = np.concatenate([drawn["z"][:3].ravel(), drawn["other_z"][:3].ravel()])
    assert len(np.unique(both)) == both.size


def test_directions_are_drawn_where_path_lengths_are_held() -> None:
    drawn = fields(draw(NOISY, range(6)))
    comes = [True, False, False, False, True, False]
    assert drawn["update_g_by_paths"].tolist() == comes
    directions = drawn["directions"]
    assert directions.shape == (6, 1, 8, 8, 8, 1)
    assert [bool(x.any()) for x in directions] == comes
    # Of 512 pixels, of deviation 1/8.
    assert directions[0].std() == pytest.approx(1 / 8, rel=0.2)


def test_g_s_own_batch_changes_nothing_of_d_s() -> None:
    own = draw(OWN_BATCH, range(4))
    without = draw(dataclasses.replace(OWN_BATCH, g_own_batch=False), range(4))
    for name, values in fields(without).items():
        ours = fields(own)[name]
        is_longer = name in ("indices", "z", "mirrored")
        np.testing.assert_array_equal(ours[:, :2] if is_longer else ours, values)


def test_g_s_batch_is_of_the_step_where_d_is_not_updated() -> None:
    config = dataclasses.replace(CONFIG, d_every=3, g_own_batch=True)
    drawn = draw(config, range(6)).indices
    assert len(np.unique(drawn[:, 1])) == 48
    np.testing.assert_array_equal(drawn[0, 0], drawn[2, 0])


def test_a_slice_of_g_s_own_batch_is_that_of_the_whole() -> None:
    whole = fields(draw(OWN_BATCH, range(2)))
    part = fields(draws.draw(OWN_BATCH, 1, COUNT, 100, range(2), samples=slice(2, 6)))
    for name in ("indices", "z", "mirrored"):
        np.testing.assert_array_equal(part[name], whole[name][:, :, 2:6])


@pytest.mark.parametrize("field", ["z", "alpha", "instance_noise"])
def test_no_random_number_comes_twice(field: str) -> None:
    values = fields(draw(EVERYTHING, range(4)))[field].ravel()
    # 24 bits of a uniform number, or the density of a normal one, allow coincidences.
    assert len(np.unique(values)) > 0.999 * len(values)
    rows = values.reshape(4 * (4 if field == "instance_noise" else 3), -1)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_n_critic_of_one_sees_the_same_updates_in_order() -> None:
    """D's k-th update has the same draws, whatever the number of updates a step."""
    thrice = draw(EVERYTHING, range(2))
    once = draw(dataclasses.replace(EVERYTHING, n_critic=1), range(6))
    for name in ("indices", "z", "alpha", "flips"):
        first, second = fields(thrice)[name], fields(once)[name]
        np.testing.assert_array_equal(first.reshape(second.shape), second)


def test_d_every_uses_no_batch_where_d_is_not_updated() -> None:
    drawn = draw(dataclasses.replace(CONFIG, d_every=3), range(9))
    assert drawn.update_d.tolist() == [True, False, False] * 3
    always = draw(CONFIG, range(3))
    np.testing.assert_array_equal(drawn.indices[drawn.update_d], always.indices)
    # G's latents are fresh at every step all the same.
    np.testing.assert_array_equal(drawn.z, draw(CONFIG, range(9)).z)


def test_d_is_updated_at_every_step_otherwise() -> None:
    assert draw(EVERYTHING, range(5)).update_d.all()


def test_labels_are_flipped_as_often_as_asked() -> None:
    flips = draw(EVERYTHING, range(100)).flips
    assert flips is not None
    share = flips.mean(axis=(0, 1, 3))
    # Real and generated ones alike, each within four standard errors.
    np.testing.assert_allclose(share, 0.3, atol=4 * np.sqrt(0.3 * 0.7 / 2400))
    assert abs(np.corrcoef(flips[:, :, 0].ravel(), flips[:, :, 1].ravel())[0, 1]) < 0.1


def test_instance_noise_decays_linearly_to_nothing() -> None:
    config = dataclasses.replace(CONFIG, instance_noise=0.5, instance_noise_steps=4)
    drawn = draw(config, range(6)).instance_noise
    assert drawn is not None
    spread = drawn.std(axis=(1, 2, 3, 4, 5, 6))
    expected = np.array([0.5, 0.375, 0.25, 0.125, 0, 0])
    np.testing.assert_allclose(spread, expected, rtol=0.05)
    assert not drawn[4:].any()


def test_dragans_noise_is_not_negative() -> None:
    noise = draw(DRAGAN, range(3)).penalty_noise
    assert noise is not None
    assert noise.min() >= 0
    assert 0.48 < noise.mean() < 0.52


def test_learning_rates_follow_the_schedule() -> None:
    config = dataclasses.replace(CONFIG, g_lr=1e-3, d_lr=4e-3, lr_schedule="linear")
    drawn = draw(config, range(0, 100, 25))
    np.testing.assert_allclose(drawn.g_lr, [1e-3, 7.5e-4, 5e-4, 2.5e-4], rtol=1e-12)
    np.testing.assert_allclose(drawn.d_lr, 4 * drawn.g_lr, rtol=1e-12)


def test_the_seed_changes_everything_random() -> None:
    first = fields(draw(EVERYTHING, range(2)))
    second = fields(draw(dataclasses.replace(EVERYTHING, seed=1), range(2)))
    for name in ("indices", "z", "alpha", "flips", "instance_noise"):
        assert not np.array_equal(first[name], second[name]), name


def test_draws_are_those_of_the_named_streams() -> None:
    """So that a device can draw its own share of a batch, from the sample's number."""
    drawn = draw(EVERYTHING, range(2, 3))
    share = slice(4, 8)
    for k, update in enumerate(range(6, 9)):
        z = noise.normal(0, "latents", update, share, 5)
        np.testing.assert_array_equal(drawn.z[0, k, share], z)
        alpha = noise.uniform(0, "penalty mix", update, share)[:, 0]
        np.testing.assert_array_equal(fields(drawn)["alpha"][0, k, share], alpha)


def test_known_draws() -> None:
    """Changing these changes every run: a seed would no longer mean what it did."""
    drawn = fields(draw(EVERYTHING, range(5, 6)))
    assert drawn["indices"][0, 1].tolist() == KNOWN_INDICES
    np.testing.assert_allclose(drawn["z"][0, 2, 3, :3], KNOWN_Z, rtol=1e-6)
    assert drawn["flips"][0, 0].astype(int).tolist() == KNOWN_FLIPS
    known = drawn["instance_noise"][0, 3, 1, 2, 0, :3, 0]
    np.testing.assert_allclose(known, KNOWN_NOISE, rtol=1e-6)
