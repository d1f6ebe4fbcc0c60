"""What is known of each architecture, objective and penalty.

Their layers and formulas are in the twins.

Apart from ``none``, which is no penalty, the only place that tells one from another by
its name: rules, draws, diagnosis and the twins' steps ask for a trait, and so serve
those that users register too.
"""

import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from shared import sizes
from shared.config.tables import Table
from shared.errors import UsageError
from shared.sizes import ImageSize

# What a penalty may look at, by the names of its parameters: real and generated images,
# shares from U[0, 1] for mixing them, noise from U[0, 1] for each pixel.
PENALTY_INPUTS = ("real", "fake", "alpha", "penalty_noise")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureTraits:
    """What is known of an architecture."""

    makes_points: bool = False
    """Whether its networks can be of points in the plane."""
    makes_rectangles: bool = False
    """Whether its networks can be of images that are no squares, whose size is then a
    pair: height and width."""
    has_feature_maps: bool = True
    """Whether the layers that are normalised have more than one pixel, without which
    instance norm has nothing to do."""
    bounded: bool = True
    """Whether its generator ends in a tanh, so that no number leaves [-1, 1]."""
    separable: bool = False
    """Whether its networks treat each sample by itself, where their norms do."""
    d_is_plain: bool = False
    """Whether its D, without spectral norm, does the same to images in training as in
    evaluation."""
    lacks: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Settings that mean nothing to its networks, and the value that says so."""
    style_layers: Callable[[ImageSize], int] | None = None
    """Layers of its generator that have a style each, of image size; None: latents
    become no styles."""
    noise_numbers: Callable[[ImageSize], int] = lambda image_size: 0
    """Numbers of noise that its generator takes for each sample beside the latents, of
    image size."""
    least_z_dim: Callable[[ImageSize], int] | None = None
    """Least length of a latent vector, of image size; None: 1."""
    least_weights: Callable[[int, ImageSize, int], int] | None = None
    """Weights that both networks have at least, of width, image size and length of the
    latents; None: unknown."""
    least_features: Callable[[int, ImageSize], int] | None = None
    """Features of an image in all of D's maps, at least, of width and image size; None:
    unknown."""

    @property
    def has_styles(self) -> bool:
        """Whether ``--truncation`` draws styles to their average."""
        return self.style_layers is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveTraits:
    """What is known of an objective."""

    has_targets: bool = False
    """Whether D has targets, 1 for real images and 0 for generated ones, which may be
    smoothed or swapped."""
    relativistic: bool = False
    """Whether the generator's loss looks at real images too."""
    probabilistic: bool = False
    """Whether sigmoid(D(x)) is the probability that x is real."""
    wasserstein: bool = False
    """Whether the gap between D's mean outputs estimates the Wasserstein distance, and
    D is a critic, which must not be steep."""
    separable: bool = False
    """Whether each loss is a mean over the batch of what one sample, or one pair, says
    by itself."""
    saturating: bool = False
    """Whether the generator's loss is flat where D is certain."""
    chance_loss: float | None = None
    """D's loss when it says the same of every image, as it does where the game ends;
    None: it has no scale."""
    g_chance_loss: float | None = None
    """G's loss there; None: it has no scale."""
    least_loss: Callable[[float, float], float] | None = None
    """Least of D's loss on one kind of images, when their target is the first number
    for this share of them, and 0 for the others; None: unknown."""

    @property
    def has_signs(self) -> bool:
        """Whether D's output is above 0 for what it takes for real, below it else."""
        may_shift = self.relativistic or self.wasserstein
        # Targets 1 and 0 of an output that is no logit have 1/2 between them.
        return not may_shift and self.has_targets <= self.probabilistic


@dataclasses.dataclass(frozen=True, kw_only=True)
class PenaltyTraits:
    """What is known of a gradient penalty."""

    inputs: tuple[str, ...] = ()
    """What it looks at besides D, among `PENALTY_INPUTS`."""
    points: int = 0
    """At how many points for each image of a batch D is differentiated; 0: no
    penalty."""
    separable: bool = False
    """Whether it is a mean over the batch of what each sample's own point says."""
    squares_slopes: bool = False
    """Whether it is the sum of D's mean squared slopes at the images it looks at."""
    per_sample: bool = True
    """Whether D must judge each image by itself, which batch norm does not."""
    slope: float | None = None
    """The norm that D's gradient is held at, or below; None: there is no such norm, as
    where a gradient is weighed against the loss."""
    one_sided: bool = False
    """Whether a norm below is as good."""


def _least_entropy(target: float, share: float) -> float:
    """Of cross-entropy, in nats: the entropy of a coin with the targets' mean."""
    p = target * share
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def _least_square(target: float, share: float) -> float:
    """Of half the squared distance: half the targets' variance."""
    return target**2 * share * (1 - share) / 2


def _dcgan_widths(width: int, image_size: ImageSize) -> list[int]:
    """Channels of D's maps, which double with every halving, down to the base."""
    return [width << k for k in range(sizes.doublings(image_size))]


def _dcgan_weights(width: int, image_size: ImageSize, z_dim: int) -> int:
    """Kernels of 4x4 between the maps of G and of D, and those from the latents."""
    widths = _dcgan_widths(width, image_size)
    between = sum(a * b for a, b in itertools.pairwise(widths))
    return 16 * 2 * between + math.prod(sizes.base(image_size)) * z_dim * widths[-1]


def _dcgan_features(width: int, image_size: ImageSize) -> int:
    widths = _dcgan_widths(width, image_size)
    height, breadth = sizes.height_and_width(image_size)
    maps = [(height >> k + 1) * (breadth >> k + 1) for k in range(len(widths))]
    return sum(w * pixels for w, pixels in zip(widths, maps, strict=True))


def _resnet_weights(factor: int) -> Callable[[int, ImageSize, int], int]:
    """Kernels of G's and of D's blocks, and those from the latents.

    Args:
        factor: how many times as wide G is up to 32x32.
    """

    def weights(width: int, image_size: ImageSize, z_dim: int) -> int:
        if sizes.shorter(image_size) <= 32:
            return _flat_weights(width, factor, image_size, z_dim)
        # From 128 on there are more blocks.
        blocks, widest = (4930, 16) if sizes.shorter(image_size) >= 64 else (3074, 8)
        pixels = math.prod(sizes.base(image_size))
        return blocks * width**2 + pixels * widest * width * z_dim

    return weights


def _flat_weights(width: int, factor: int, image_size: ImageSize, z_dim: int) -> int:
    """Of networks whose maps are equally wide, G's by this factor wider than D's."""
    ups = sizes.doublings(image_size)
    blocks = 19 * (factor**2 * ups + max(ups - 2, 0)) + 45
    pixels = math.prod(sizes.base(image_size))
    return blocks * width**2 + pixels * factor * width * z_dim


def _resnet_features(width: int, image_size: ImageSize) -> int:
    """Of the first block alone, by far the largest."""
    return 2 * width * sizes.pixels(image_size)


def _biggan_parts(image_size: ImageSize) -> int:
    """Of a latent vector: one for the smallest map, and one for each block of G."""
    return sizes.doublings(image_size) + 1


def _biggan_weights(width: int, image_size: ImageSize, z_dim: int) -> int:
    """Kernels of both networks' blocks, and those from the first part of the latents.

    Of small images as many as of residual networks of four times the width.
    """
    part = z_dim // _biggan_parts(image_size)
    if sizes.doublings(image_size) <= 3:
        return _flat_weights(4 * width, 1, image_size, part)
    # From 128 on there are more blocks.
    pixels = math.prod(sizes.base(image_size))
    return 12_000 * width**2 + 16 * pixels * width * part


def _biggan_features(width: int, image_size: ImageSize) -> int:
    is_small = sizes.doublings(image_size) <= 3
    return _resnet_features(4 * width if is_small else width, image_size)


def _r3gan_weights(width: int, image_size: ImageSize, z_dim: int) -> int:
    """Kernels of both networks' blocks up to 32x32, and those from the latents."""
    stages = min(sizes.doublings(image_size) + 1, 4)
    # 1x1 twice; 3x3, of twice as many channels, in groups of 16.
    block = 4 * width**2 + 36 * width * min(width, 8)
    return 2 * 2 * stages * block + width * z_dim


def _stylegan2_noise(image_size: ImageSize) -> int:
    """Pixels of the maps of G's convolutions: the smallest once, the others twice."""
    height, width = sizes.height_and_width(image_size)
    octaves = range(sizes.doublings(image_size) + 1)
    maps = [(height >> k) * (width >> k) for k in octaves]
    return 2 * sum(maps) - maps[-1]


def _stylegan2_weights(width: int, image_size: ImageSize, z_dim: int) -> int:
    """Kernels between the maps of both networks, of G's smallest and D's last."""
    octaves = range(sizes.doublings(image_size) + 1)
    widths = [min(width << k, z_dim) for k in octaves]
    between = sum(9 * a * (a + b) for a, b in itertools.pairwise(widths))
    last = 9 + 9 + math.prod(sizes.base(image_size))
    return 2 * between + last * widths[-1] ** 2 + 2 * z_dim**2


_RESNET = ArchitectureTraits(
    makes_rectangles=True,
    d_is_plain=True,
    separable=True,
    least_weights=_resnet_weights(2),
    least_features=_resnet_features,
)
_STYLEGAN2 = ArchitectureTraits(
    makes_rectangles=True,
    bounded=False,
    d_is_plain=True,
    # Not separable: its average of styles is a mean over the batch.
    lacks={
        **{"g_norm": "none", "d_norm": "none"},
        **{"g_weight_norm": "none", "d_weight_norm": "none"},
        **{"minibatch_discrimination": 0, "aux_classifier": 0.0},
        # Its weights are stored many times as large as they are used.
        "g_orthogonal": 0.0,
    },
    noise_numbers=_stylegan2_noise,
    # Two of each size, up from the base.
    style_layers=lambda image_size: 2 * (sizes.doublings(image_size) + 1),
    least_weights=_stylegan2_weights,
)


ARCHITECTURES = Table(
    "architecture",
    {
        "dcgan": ArchitectureTraits(
            makes_rectangles=True,
            d_is_plain=True,
            separable=True,
            least_weights=_dcgan_weights,
            least_features=_dcgan_features,
        ),
        "mlp": ArchitectureTraits(
            makes_rectangles=True,
            d_is_plain=True,
            makes_points=True,
            separable=True,
            has_feature_maps=False,
            least_weights=lambda width, size, z_dim: (
                width * (4 * width + 2 * sizes.pixels(size) + z_dim)
            ),
            least_features=lambda width, size: 3 * width,
        ),
        "sngan-resnet": _RESNET,
        "sagan": _RESNET,
        "wgan-gp-resnet": dataclasses.replace(
            _RESNET, least_weights=_resnet_weights(1)
        ),
        "biggan": ArchitectureTraits(
            makes_rectangles=True,
            d_is_plain=True,
            lacks={"g_norm": "batch", "d_norm": "none"},
            least_z_dim=_biggan_parts,
            least_weights=_biggan_weights,
            least_features=_biggan_features,
        ),
        "r3gan": ArchitectureTraits(
            makes_rectangles=True,
            bounded=False,
            d_is_plain=True,
            separable=True,
            lacks={
                **{"g_norm": "none", "d_norm": "none"},
                **{"g_weight_norm": "none", "d_weight_norm": "none"},
                **{"minibatch_discrimination": 0, "minibatch_std": 0},
                # Outputs of different groups have nothing in common.
                **{"aux_classifier": 0.0, "g_orthogonal": 0.0},
            },
            least_weights=_r3gan_weights,
            # Inside a single block, and not of larger maps than 32x32.
            least_features=lambda width, size: (
                4 * width * math.prod(min(x, 32) for x in sizes.height_and_width(size))
            ),
        ),
        "stylegan2": _STYLEGAN2,
        "stylegan2-cifar": _STYLEGAN2,
    },
)


OBJECTIVES = Table(
    "objective",
    {
        "minimax": ObjectiveTraits(
            separable=True,
            has_targets=True,
            probabilistic=True,
            saturating=True,
            chance_loss=2 * math.log(2),
            g_chance_loss=-math.log(2),
            least_loss=_least_entropy,
        ),
        "non-saturating": ObjectiveTraits(
            separable=True,
            has_targets=True,
            probabilistic=True,
            chance_loss=2 * math.log(2),
            g_chance_loss=math.log(2),
            least_loss=_least_entropy,
        ),
        "wasserstein": ObjectiveTraits(wasserstein=True, separable=True),
        "least-squares": ObjectiveTraits(
            separable=True,
            has_targets=True,
            chance_loss=0.25,
            g_chance_loss=0.125,
            least_loss=_least_square,
        ),
        "least-squares-pearson": ObjectiveTraits(
            separable=True, chance_loss=1.0, g_chance_loss=0.0
        ),
        "hinge": ObjectiveTraits(separable=True, chance_loss=2.0),
        "relativistic": ObjectiveTraits(
            separable=True,
            relativistic=True,
            chance_loss=math.log(2),
            g_chance_loss=math.log(2),
        ),
        "relativistic-average": ObjectiveTraits(
            relativistic=True,
            chance_loss=2 * math.log(2),
            g_chance_loss=2 * math.log(2),
        ),
    },
)


PENALTIES = Table(
    "penalty",
    {
        "none": PenaltyTraits(separable=True, per_sample=False),
        "wgan-gp": PenaltyTraits(
            separable=True, inputs=("real", "fake", "alpha"), points=1, slope=1.0
        ),
        "wgan-lp": PenaltyTraits(
            separable=True,
            inputs=("real", "fake", "alpha"),
            points=1,
            slope=1.0,
            one_sided=True,
        ),
        "dragan": PenaltyTraits(inputs=("real", "penalty_noise"), points=1, slope=1.0),
        "r1": PenaltyTraits(
            separable=True, squares_slopes=True, inputs=("real",), points=1
        ),
        "r2": PenaltyTraits(
            separable=True, squares_slopes=True, inputs=("fake",), points=1
        ),
        "r1-r2": PenaltyTraits(
            separable=True, squares_slopes=True, inputs=("real", "fake"), points=2
        ),
    },
)


def objective_traits(
    name: str,
    discriminator_loss: Callable[..., Any],
    generator_loss: Callable[..., Any],
    **known: Any,
) -> ObjectiveTraits:
    """Traits of a user's objective, as far as its parameters' names tell them.

    Args:
        name: for errors.
        discriminator_loss: of (real_logits, fake_logits); where it has targets, also of
            real_target and fake_target, which have defaults.
        generator_loss: of (fake_logits) or (real_logits, fake_logits).
        known: the other traits.

    Raises:
        UsageError: a loss takes something else.
    """
    both = ("real_logits", "fake_logits")
    for what, loss, allowed in (
        ("discriminator_loss", discriminator_loss, (both,)),
        ("generator_loss", generator_loss, (both[1:], both)),
    ):
        needed = _parameters(loss)
        # Given in this order, with a default or without.
        taken = tuple(x for x in needed if needed[x] or x in both)
        if taken not in allowed:
            rules = " or ".join(f"({', '.join(names)})" for names in allowed)
            raise UsageError(
                f"objective {name!r}: {what} takes ({', '.join(taken)}), must take"
                f" {rules}"
            )
    return ObjectiveTraits(
        has_targets={"real_target", "fake_target"}
        <= _parameters(discriminator_loss).keys(),
        relativistic="real_logits" in _parameters(generator_loss),
        **known,
    )


def checked_loss(
    what: str, loss: Callable[..., Any], array: type
) -> Callable[..., Any]:
    """A user's loss, which is told when it is no batch mean.

    Args:
        what: for errors.
        loss: one of the two of `objective_traits`.
        array: the twin's arrays.
    """

    @functools.wraps(loss)
    def checked(*logits: object, **others: object) -> object:
        value = loss(*logits, **others)
        if not isinstance(value, array):
            kind = array.__name__.lower()
            raise UsageError(f"{what} gives a {type(value).__name__}, no {kind}")
        if value.shape != ():
            shape = list(value.shape)
            raise UsageError(f"{what} gives shape {shape}, not one number: the mean")
        return value

    return checked


def penalty_traits(
    name: str, penalty: Callable[..., Any], **known: Any
) -> PenaltyTraits:
    """Traits of a user's penalty, as far as its parameters' names tell them.

    Args:
        name: for errors.
        penalty: of a discriminator, and of what it looks at.
        known: the other traits.

    Raises:
        UsageError: it takes something else.
    """
    needed = _parameters(penalty)
    takes = list(needed)[1:]
    inputs = tuple(key for key in takes if key in PENALTY_INPUTS)
    unknown = {key for key in takes if needed[key]} - set(inputs)
    if unknown or not {"real", "fake"} & set(inputs):
        raise UsageError(
            f"penalty {name!r}: takes ({', '.join(needed)}), must take"
            f" (discriminator, ...) with real, fake or both, and what else it needs of"
            f" {', '.join(PENALTY_INPUTS)}"
        )
    return PenaltyTraits(inputs=inputs, points=1, **known)


def checked_penalty(
    name: str, penalty: Callable[..., Any], terms: type, array: type
) -> Callable[..., Any]:
    """A user's penalty, which is told when it gives something else than penalties do.

    Args:
        name: for errors.
        penalty: as for `penalty_traits`.
        terms: the twin's tuple of what a penalty gives, two numbers.
        array: the twin's arrays.
    """

    @functools.wraps(penalty)
    def checked(*images: object, **others: object) -> object:
        found = penalty(*images, **others)
        if not isinstance(found, terms):
            # A traced array's type says nothing to whoever wrote the penalty.
            is_array = isinstance(found, array)
            kind = "an array" if is_array else f"a {type(found).__name__}"
            rule = "must give a PenaltyTerms(penalty, gradient_norm)"
            raise UsageError(f"penalty {name!r} gives {kind}, {rule}")
        for what, value in found._asdict().items():
            if not isinstance(value, array) or value.shape != ():
                raise UsageError(f"penalty {name!r}: its {what} is not one number")
        return found

    return checked


def check_looks(name: str, given: int, batch: int) -> None:
    """Refuse a user's penalty whose images are not those of the batch, one by one.

    Each is seen with the label and the augmentation of its real one; of other numbers
    the frameworks make something, each in its way.

    Args:
        name: of the penalty.
        given: images that it gives D.
        batch: images that it was given.

    Raises:
        UsageError: these are not as many.
    """
    if given != batch:
        raise UsageError(
            f"penalty {name!r}: gives D {given} images, must give it {batch} at a time:"
            " they have the labels and the augmentation of the real ones"
        )


def _parameters(function: Callable[..., Any]) -> dict[str, bool]:
    """Names of a function's parameters, and whether each is needed: has no default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of many that are written in C nobody knows them
        return {"...": True}
    return {x.name: x.default is x.empty for x in parameters}
