"""Configurations: every rule, and what is stored can be read back."""

import dataclasses
import functools
import json
import math
import pydoc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import schedules
from shared.config.arguments import in_flags
from shared.config.presets import PRESETS
from shared.config.resume import CHANGEABLE_ON_RESUME
from shared.config.tables import Members
from shared.config.train_config import (
    CONFIG_VERSION,
    TrainConfig,
    config_from_json,
    config_to_json,
)
from shared.config.traits import ARCHITECTURES, OBJECTIVES
from shared.errors import UsageError
from shared.files.arrays import canonical_json


def refusal(**values: Any) -> str:
    with pytest.raises(UsageError) as caught, in_flags():
        TrainConfig(**values)
    message = str(caught.value)
    assert "\n" not in message
    return message


_STYLES: dict[str, Any] = {
    "architecture": "stylegan2",
    "g_norm": "none",
    "d_norm": "none",
}
_LAZY: dict[str, Any] = {"penalty": "r1", "d_norm": "none", "penalty_every": 4}
_R3GAN: dict[str, Any] = {"architecture": "r3gan", "g_norm": "none", "d_norm": "none"}

REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        (
            {"image_size": size},
            f"--image-size {size}: must be 4, 5, 6 or 7 times 2, 4, 8, ...; {hint}",
        )
        for size, hint in {
            **dict.fromkeys((-8, 0, 4, 7), "8 is the smallest"),
            1: "1 is for points in the plane",
            9: "the nearest are 8 and 10",
            15: "the nearest are 14 and 16",
            50: "the nearest are 48 and 56",
            100: "the nearest are 96 and 112",
            1000: "the nearest are 896 and 1024",
        }.items()
    ),
    *(
        (
            {"image_size": size},
            f"--image-size {size[0]}x{size[1]}: the shorter side must be 4, 5, 6 or 7"
            " times 2, 4, 8, ..., the longer one a multiple of the same power of two"
            f" and at most 4 times as long; {hint}",
        )
        for size, hint in {
            (7, 64): "8 is the smallest",
            (0, 4): "8 is the smallest",
            (30, 40): "the nearest are 28x40 and 32x40",
            (50, 48): "the nearest are 48 and 56x48",
            (48, 200): "the nearest is 48x192",
        }.items()
    ),
    ({"image_size": (48, 64, 3)}, "--image-size (48, 64, 3): must be a list of 2"),
    (
        {"image_size": "48x64"},
        "--image-size '48x64': must be a whole number, or a list of 2",
    ),
    (
        {"image_size": (8, 12), "dataset": "ring", "architecture": "mlp"},
        "--image-size 8x12: points of ring have size 1; start from the preset ring,",
    ),
    *(
        ({name: value}, f"--{name.replace('_', '-')} {value}: must be 1 or more")
        for name in (
            *("steps", "z_dim", "width", "n_critic", "d_every"),
            *("instance_noise_steps", "log_every", "sample_every", "save_every"),
            "burn_in_images",
        )
        for value in (0, -3)
    ),
    *(
        ({name: -1}, f"--{name.replace('_', '-')} -1: must be 0 or more")
        for name in (
            *("seed", "minibatch_discrimination", "minibatch_std", "warmup_steps"),
            *("penalty_weight", "weight_clip", "feature_matching", "aux_classifier"),
            *("instance_noise", "clip_grad_norm", "final_penalty_weight"),
            *("ema_half_life", "final_ema_half_life"),
        )
    ),
    *(
        ({name: value}, f"--{name.replace('_', '-')} {value}: must be more than 0")
        for name in ("g_lr", "d_lr", "final_g_lr", "final_d_lr")
        for value in (0.0, -1e-4)
    ),
    *(
        ({name: value}, f"--{name.replace('_', '-')} {value}: must be in [0, 1)")
        for name in ("label_smoothing", "label_flip", "ema_decay", "final_beta2")
        for value in (-0.1, 1.0)
    ),
    *(
        ({name: value}, f"--{name.replace('_', '-')} {value}: must be a finite number")
        for name in ("g_lr", "d_lr", "penalty_weight", "ema_decay", "instance_noise")
        for value in (math.nan, math.inf)
    ),
    ({"batch_size": 1}, "--batch-size 1: must be 2 or more"),
    ({"steps": None, "epochs": 0.0}, "--epochs 0.0: must be more than 0"),
    ({"steps": None}, "give exactly one of --steps and --epochs"),
    ({"epochs": 1.0}, "give exactly one of --steps and --epochs"),
    ({"seed": 2**63}, f"--seed {2**63}: must be less than 2**63"),
    ({"adam_betas": (0.5, 1.0)}, "--adam-betas 0.5 1.0: both must be in [0, 1)"),
    ({"adam_betas": (-0.1, 0.9)}, "--adam-betas -0.1 0.9: both must be in [0, 1)"),
    ({"adam_betas": (0.5, math.nan)}, "must be a finite number"),
    ({"objective": "foo"}, "--objective foo: must be one of minimax, non-saturating,"),
    ({"precision": "float16"}, "--precision float16: must be one of float32, tf32,"),
    ({"penalty": "wgan-gp"}, "--penalty wgan-gp: is per sample, but --d-norm batch"),
    ({"penalty": "r1"}, "--penalty r1: is per sample, but --d-norm batch"),
    (
        {"architecture": "r3gan", "d_norm": "none"},
        "--g-norm batch: means nothing to r3gan; use none",
    ),
    (
        _R3GAN | {"minibatch_std": 4},
        "--minibatch-std 4: means nothing to r3gan; use 0",
    ),
    (
        _STYLES | {"minibatch_discrimination": 4},
        "--minibatch-discrimination 4: means nothing to stylegan2; use 0",
    ),
    (
        _STYLES | {"g_orthogonal": 1e-4},
        "--g-orthogonal 0.0001: means nothing to stylegan2; use 0.0",
    ),
    (
        _R3GAN | {"g_orthogonal": 1e-4},
        "--g-orthogonal 0.0001: means nothing to r3gan; use 0.0",
    ),
    (
        {"architecture": "biggan", "d_norm": "none", "z_dim": 3},
        "--z-dim 3: must be 4 or more, as biggan splits it at 32x32 into so many parts",
    ),
    ({"penalty_every": 4}, "--penalty-every 4: needs a --penalty"),
    (
        _LAZY | {"optimizer": "rmsprop"},
        "--penalty-every 4: needs --optimizer adam",
    ),
    (_LAZY | {"n_critic": 2}, "--penalty-every 4: cannot be combined with --n-critic"),
    (_LAZY | {"d_every": 2}, "--penalty-every 4: cannot be combined with --d-every"),
    ({"style_mixing": 0.5}, "--style-mixing 0.5: dcgan has no styles"),
    ({"path_length": 2.0}, "--path-length 2.0: dcgan has no styles"),
    ({"path_length_every": 1}, "--path-length-every 1: must be 2 or more"),
    (
        _STYLES | {"path_length": 2.0, "optimizer": "rmsprop"},
        "--path-length 2.0: needs --optimizer adam",
    ),
    ({"g_orthogonal": -1.0}, "--g-orthogonal -1.0: must be 0 or more"),
    ({"n_critic": 2, "d_every": 2}, "--d-every 2: cannot be combined with --n-critic"),
    ({"g_norm": "conditional-batch"}, "conditional-batch: needs --conditional"),
    ({"minibatch_std": 3}, "--minibatch-std 3: must divide --batch-size 64"),
    ({"minibatch_std": 1}, "--minibatch-std 1: one image has no deviation; 0 is with"),
    (
        {"label_smoothing": 0.1, "objective": "hinge"},
        "--label-smoothing 0.1: has no meaning for --objective hinge",
    ),
    *(
        ({"augment": word}, f"--augment {word}: {rule}")
        for word, rule in {
            "ad": "must be none, diffaugment, diffaugment:POLICY,..., ada or ada:r3gan",
            "difaugment": "must be none, diffaugment, diffaugment:POLICY,..., ada or"
            " ada:r3gan; did you mean diffaugment?",
            "none:color": "must be none, diffaugment,",
            "ada:color": "must be none, diffaugment,",
            "diffaugment:": "each policy must be one of color, translation, cutout",
            "diffaugment:color,": "each policy must be one of color, translation,",
            "diffaugment:colour": "each policy must be one of color, translation,"
            " cutout; did you mean color?",
            "diffaugment:cutout,color,cutout": "each policy may stand once",
        }.items()
    ),
    ({"augment_p": 0.5}, "--augment-p 0.5: is for --augment ada"),
    ({"augment": "diffaugment", "augment_p": 0.0}, "--augment-p 0.0: is for --augment"),
    ({"augment": "ada", "augment_p": 1.5}, "--augment-p 1.5: must be in [0, 1]"),
    *(
        (
            {"augment": "ada", "objective": objective},
            "--augment ada: goes by the sign of D's output, which says nothing with"
            f" --objective {objective}; give --augment-p",
        )
        for objective in ("wasserstein", "relativistic", "least-squares")
    ),
    *(
        (
            {"dataset": "ring", "image_size": 1, "architecture": "mlp", name: value},
            f"--{name} {value}: is for images, which points of ring are not",
        )
        for name, value in (("augment", "diffaugment:cutout"), ("flip", True))
    ),
    *(
        ({name: 0.5}, f"--{name.replace('_', '-')} 0.5: needs --burn-in-images, after")
        for name in (
            *("final_g_lr", "final_d_lr", "final_penalty_weight", "final_beta2"),
            *("final_ema_half_life", "final_augment_p"),
        )
    ),
    (
        {"burn_in_images": 1000},
        "--burn-in-images 1000: needs one of --final-g-lr, --final-d-lr,"
        " --final-penalty-weight, --final-beta2, --final-ema-half-life,"
        " --final-augment-p",
    ),
    *(
        (
            {name: 1e-5, "burn_in_images": 9, "lr_schedule": "cosine"},
            f"--{name.replace('_', '-')} 1e-05: cannot be combined with --lr-schedule",
        )
        for name in ("final_g_lr", "final_d_lr")
    ),
    (
        {"final_penalty_weight": 0.1, "burn_in_images": 9},
        "--final-penalty-weight 0.1: needs a --penalty",
    ),
    (
        {"final_beta2": 0.9, "burn_in_images": 9, "optimizer": "rmsprop"},
        "--final-beta2 0.9: needs --optimizer adam",
    ),
    (
        {"final_augment_p": 0.5, "burn_in_images": 9, "augment": "ada"},
        "--final-augment-p 0.5: needs --augment-p, which it moves from",
    ),
    (
        {"ema_half_life": 100.0, "ema_decay": 0.9},
        "--ema-decay 0.9: cannot be combined with a half-life (half-life 100 images)",
    ),
    (
        {"final_ema_half_life": 100.0, "burn_in_images": 9, "ema_decay": 0.9},
        "--ema-decay 0.9: cannot be combined with a half-life (half-life 0 to 100",
    ),
    (
        {"label_flip": 0.1, "objective": "wasserstein"},
        "--label-flip 0.1: has no meaning for --objective wasserstein",
    ),
]


@pytest.mark.parametrize(("values", "expected"), REFUSED, ids=str)
def test_broken_rules_are_named(values: dict[str, Any], expected: str) -> None:
    assert expected in refusal(**values)


def test_epochs_are_no_more_than_steps_can_be_counted() -> None:
    config = TrainConfig(steps=None, epochs=1e9, batch_size=2)
    assert schedules.total_steps(config, 10**9) == 5 * 10**17
    assert "--epochs 1e+308: must be at most 1000000000" in refusal(
        steps=None, epochs=1e308
    )


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 8},
        {"image_size": 256},
        {"batch_size": 2},
        {"steps": 1},
        {"steps": None, "epochs": 0.001},
        {"seed": 2**63 - 1},
        {"adam_betas": (0.0, 0.0)},
        {"penalty": "wgan-gp", "d_norm": "layer"},
        {"g_norm": "conditional-batch", "conditional": True},
        {"label_flip": 0.1, "objective": "minimax"},
        {"minibatch_std": 4},
        {"burn_in_images": 1, "final_beta2": 0.0},
        {"burn_in_images": 1, "final_ema_half_life": 0.0, "ema_half_life": 5},
        {"burn_in_images": 9, "final_g_lr": 1e-5, "warmup_steps": 3},
    ],
    ids=str,
)
def test_what_is_just_allowed(values: dict[str, Any]) -> None:
    config = TrainConfig(**values)
    assert {name: getattr(config, name) for name in values} == values


def test_numbers_of_numpy_become_python_s_own() -> None:
    own = dataclasses.replace(
        PRESETS["dcgan"], adam_betas=(0.5, 0.75), batch_size=8, steps=3, g_lr=0.5
    )
    of_numpy: dict[str, Any] = {
        "adam_betas": [0.5, np.float32(0.75)],
        "batch_size": np.int64(8),
        "steps": np.int32(3),
        "g_lr": np.float32(0.5),
    }
    other = dataclasses.replace(PRESETS["dcgan"], **of_numpy)
    assert other == own
    assert canonical_json(config_to_json(other)) == canonical_json(config_to_json(own))
    assert {type(other.batch_size), type(other.steps)} == {int}
    assert type(other.g_lr) is float


def test_changing_a_copy_checks_the_rules_again() -> None:
    config = TrainConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 3  # pyrefly: ignore[read-only]
    with pytest.raises(UsageError):
        dataclasses.replace(config, width=0)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_presets_can_be_stored_and_read(config: TrainConfig) -> None:
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_a_way_of_reading_images_is_stored_only_where_it_is_chosen() -> None:
    usual = config_to_json(TrainConfig())
    chosen = TrainConfig(dataset="folder:x", channels="grey", pixel_bits=12)
    stored = config_to_json(chosen)
    assert stored.keys() - usual.keys() == {"channels", "pixel_bits"}
    assert config_from_json(stored) == chosen
    assert config_from_json(usual) == TrainConfig()


def test_an_augmentation_is_stored_only_where_it_is_chosen() -> None:
    usual = config_to_json(TrainConfig())
    assert not {"augment", "flip"} & usual.keys()
    examples: tuple[dict[str, Any], ...] = (
        {"augment": "diffaugment:cutout,color", "flip": True},
        {"augment": "ada"},
        {"augment": "ada", "augment_p": 0.0, "objective": "wasserstein"},
    )
    for chosen in examples:
        config = TrainConfig(**chosen)
        stored = json.loads(json.dumps(config_to_json(config)))
        assert stored.keys() - usual.keys() == chosen.keys() - {"objective"}
        assert config_from_json(stored) == config


_R1 = {"penalty": "r1", "d_norm": "none"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (_R1, True),
        (_R1 | {"architecture": "r3gan", "g_norm": "none", "penalty": "r1-r2"}, True),
        # Slopes elsewhere.
        (_R1 | {"penalty": "wgan-gp"}, False),
        # An update of its own.
        (_R1 | {"penalty_every": 16}, False),
        # D advances its power iteration where it looks for its loss.
        (_R1 | {"d_weight_norm": "spectral"}, False),
        (_R1 | {"d_weight_norm": "weight"}, True),
        # The slope is that of D(T(x)) at x.
        (_R1 | {"augment": "diffaugment"}, False),
        ({}, False),
    ],
)
def test_where_one_look_serves_loss_and_penalty(
    settings: dict[str, Any], expected: bool
) -> None:
    assert TrainConfig(**settings).looks_once == expected


def test_orthogonality_is_stored_only_where_it_is_chosen() -> None:
    assert "g_orthogonal" not in config_to_json(TrainConfig())
    chosen = PRESETS["biggan"]
    assert config_to_json(chosen)["g_orthogonal"] == 1e-4
    assert config_from_json(json.loads(json.dumps(config_to_json(chosen)))) == chosen


def test_a_burn_in_is_stored_only_where_it_is_chosen() -> None:
    settings: dict[str, Any] = {
        "g_own_batch": True,
        "burn_in_images": 1000,
        "final_g_lr": 1e-5,
        "final_d_lr": 2e-5,
        "penalty": "r1",
        "d_norm": "none",
        "final_penalty_weight": 0.0,
        "final_beta2": 0.0,
        "ema_half_life": 10.0,
        "final_ema_half_life": 0.0,
        "augment": "ada:r3gan",
        "augment_p": 0.0,
        "final_augment_p": 0.5,
    }
    usual = config_to_json(TrainConfig())
    assert settings.keys() - usual.keys() == settings.keys() - {"penalty", "d_norm"}
    chosen = TrainConfig(**settings)
    assert config_from_json(json.loads(json.dumps(config_to_json(chosen)))) == chosen


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"ema_decay": 0.9}, "decay 0.9"),
        ({"ema_half_life": 500.0}, "half-life 500 images"),
        (
            {"final_ema_half_life": 500.0, "burn_in_images": 9},
            "half-life 0 to 500 images",
        ),
    ],
)
def test_how_weights_are_averaged(settings: dict[str, Any], expected: str) -> None:
    assert TrainConfig(**settings).averaging == expected


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ("none", ()),
        ("diffaugment", ("color", "translation", "cutout")),
        ("diffaugment:cutout", ("cutout",)),
        ("diffaugment:cutout,color", ("cutout", "color")),
        ("ada", ("ada",)),
        ("ada:r3gan", ("ada:r3gan",)),
    ],
)
def test_policies_come_in_the_order_that_is_asked_for(
    augment: str, expected: tuple[str, ...]
) -> None:
    assert TrainConfig(augment=augment).policies == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rectangles_are_a_height_and_a_width(architecture: str) -> None:
    lacks: dict[str, Any] = dict(ARCHITECTURES[architecture].lacks)
    make = functools.partial(TrainConfig, architecture=architecture, **lacks)
    for size in ((48, 64), (64, 48), (8, 32), (28, 44)):
        config = make(image_size=size)
        stored = json.loads(json.dumps(config_to_json(config)))
        assert stored["image_size"] == list(size)
        assert config_from_json(stored) == config
    square = make(image_size=(64, 64))
    assert square == make(image_size=64)
    assert config_to_json(square)["image_size"] == 64


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images_that_double_from_4_to_7_pixels(architecture: str) -> None:
    lacks: dict[str, Any] = dict(ARCHITECTURES[architecture].lacks)
    fitting = {base << doublings for base in (4, 5, 6, 7) for doublings in range(1, 9)}
    for size in (*range(8, 130), 1000, 1024):
        chosen = lacks | {"architecture": architecture, "image_size": size}
        if size in fitting:
            TrainConfig(**chosen)
        else:
            assert "the nearest are" in refusal(**chosen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": "pad"}, "--crop pad: is for images of folder:PATH"),
        ({"pixel_bits": 0, "dataset": "folder:x"}, "must be from 1 to 16"),
        ({"dataset": "stacked-mnist", "channels": "grey"}, "--channels grey: is for"),
    ],
)
def test_ways_of_reading_that_make_no_sense(
    settings: dict[str, Any], message: str
) -> None:
    assert message in refusal(**settings)


def test_python_is_told_of_arguments_not_of_flags() -> None:
    with pytest.raises(UsageError, match=r"^batch_size 0: must be 2 or more$"):
        TrainConfig(batch_size=0)
    with pytest.raises(UsageError, match=r"^g_lr 0: must be "):
        dataclasses.replace(TrainConfig(), g_lr=0)


@given(
    st.floats(1e-300, 1e300),
    st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
    st.integers(0, 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_no_digit_is_lost(
    rate: float, betas: tuple[float, float], seed: int, name: str
) -> None:
    config = TrainConfig(
        g_lr=rate, adam_betas=betas, seed=seed, dataset=f"folder:{name}"
    )
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_the_original_experiments_have_the_published_settings() -> None:
    for name, dataset, batch, epochs in (
        ("gan-mnist", "mnist", 64, 30),
        ("dcgan-cifar10", "cifar10", 128, 25),
        ("wgan-gp-mnist", "mnist", 64, 30),
        ("cgan-mnist", "mnist", 64, 30),
    ):
        config = PRESETS[name]
        assert (config.dataset, config.batch_size, config.epochs) == (
            (dataset, batch, epochs)
        )
        assert (config.image_size, config.width, config.z_dim) == (64, 64, 100)
    for name in ("gan", "dcgan", "gan-mnist", "dcgan-cifar10"):
        config = PRESETS[name]
        assert (config.g_lr, config.d_lr) == (2e-4, 2e-4)
        assert config.adam_betas == (0.5, 0.999)
        assert config.objective == "non-saturating"
    wgan, wgan_gp = PRESETS["wgan"], PRESETS["wgan-gp"]
    assert (wgan.weight_clip, wgan.n_critic, wgan.g_lr) == (0.01, 5, 5e-5)
    assert wgan.optimizer == "rmsprop"
    assert (wgan_gp.penalty_weight, wgan_gp.n_critic) == (10, 5)
    assert (wgan_gp.adam_betas, wgan_gp.d_norm) == ((0.5, 0.9), "instance")


def test_a_preset_is_named_after_its_row() -> None:
    assert all(config.preset == name for name, config in PRESETS.items())


def test_settings_that_may_change_on_resuming_exist() -> None:
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert names >= CHANGEABLE_ON_RESUME


@pytest.mark.parametrize("version", [CONFIG_VERSION + 1, None, "1", True, 0, 1.0])
def test_other_versions_are_refused(version: object) -> None:
    values = config_to_json(TrainConfig()) | {"version": version}
    with pytest.raises(UsageError, match=f"^configuration version {version!r}: "):
        config_from_json(values)


def test_unknown_settings_are_refused() -> None:
    values = config_to_json(TrainConfig()) | {"colour": "red", "age": 3}
    with pytest.raises(UsageError, match=r"^configuration: unknown age, colour$"):
        config_from_json(values)


def test_settings_that_an_older_program_lacked_take_their_defaults() -> None:
    assert config_from_json({"version": 1, "width": 8}) == TrainConfig(width=8)


def test_stored_values_obey_the_rules_too() -> None:
    values = config_to_json(TrainConfig()) | {"width": 0}
    with pytest.raises(UsageError, match=r"^width 0: must be 1 or more$"):
        config_from_json(values)


def test_reading_leaves_the_values_alone() -> None:
    values = config_to_json(TrainConfig())
    copy = dict(values)
    config_from_json(values)
    assert values == copy


def test_equal_values_have_one_spelling() -> None:
    assert canonical_json({"b": 1.0, "a": [1, None]}) == '{"a":[1,null],"b":1.0}'
    assert canonical_json({"a": [1, None], "b": 1.0}) == '{"a":[1,null],"b":1.0}'


def test_help_shows_the_names_that_a_setting_may_have_and_no_more() -> None:
    text = pydoc.plain(pydoc.render_doc(TrainConfig))
    assert "objective: Annotated[str, Table(minimax, " in text.replace("typing.", "")
    assert " at 0x" not in text
    members = Members("a twin", OBJECTIVES, {"minimax": print})
    OBJECTIVES.members.remove(members)
    assert repr(members) == "Members(minimax)"
