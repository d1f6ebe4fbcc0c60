"""What changes the numbers of a run, as one frozen, validated dataclass."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from shared import sizes
from shared.config.arguments import in_python
from shared.config.augmentation import ADA, NONE, PIPES, Pipe, policies
from shared.config.choices import (
    FOLDER,
    POINTS,
    STACKED,
    Channels,
    Crop,
    DiscriminatorNorm,
    GeneratorNorm,
    Optimizer,
    Precision,
    Schedule,
    WeightNorm,
    is_folder,
    portable_name,
)
from shared.config.flags import flag, refuse
from shared.config.meetings import meetings
from shared.config.tables import Table
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.config.values import Mismatch, conform, plain, printable, shown
from shared.errors import UsageError
from shared.sizes import ImageSize
from shared.words import suggestion

# Raised when a field changes its meaning, so that an old program refuses a newer run.
CONFIG_VERSION = 1


# More steps than can be counted are no number.
_MOST_EPOCHS = 1_000_000_000

_POINTS_HINT = " start from the preset ring, with any --dataset of points"

# Stored only where they are used, so that what does without them keeps its bytes.
_READING = ("channels", "crop", "pixel_bits")
_STORED_IF_USED = (
    *(*_READING, "augment", "augment_p", "flip", "g_own_batch", "ema_half_life"),
    *("accumulate", "local_batch_norm", "g_orthogonal", "penalty_every"),
    *("style_mixing", "path_length", "path_length_every"),
    *("burn_in_images", "final_g_lr", "final_d_lr", "final_penalty_weight"),
    *("final_beta2", "final_ema_half_life", "final_augment_p"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Every rule is checked on construction.

    ``python -m gans_torch.train --help`` says what each setting is.

    Raises:
        UsageError: a value breaks a rule; the message names argument, value and rule.
    """

    preset: str = "dcgan"
    """Name of the preset that this started from."""

    # Data.
    dataset: str = "digits"
    """digits, mnist, fashion-mnist, cifar10, stacked-mnist (three digits as RGB),
    folder:PATH (a folder or .zip; subfolders: classes), or the points ring, grid,
    swiss-roll. With --resume, where a folder is now."""
    image_size: ImageSize = 32
    """Height and width in pixels: 4, 5, 6 or 7 times 2, 4, 8, ... (28, 32, 48, 64);
    48x64 is a height and a width; 1 for points."""
    channels: Channels = "auto"
    """Whether images are grey or in colour; auto: in colour if one of them is."""
    crop: Crop = "centre"
    """How a folder's images get their shape: by their centre, padded with black, or
    stretched."""
    pixel_bits: int | None = None
    """Bits that a folder's images use of each value, as 12 of 16; without it, all."""

    # Length and order.
    steps: int | None = 1200
    """Generator updates in all. Excludes --epochs."""
    epochs: float | None = None
    """Passes of D over the data; ragged last batches are left out."""
    batch_size: int = 64
    """Images in each batch."""
    seed: int = 0
    """Seed of everything random, from 0 up."""

    # Networks.
    architecture: Annotated[str, ARCHITECTURES] = "dcgan"
    """Which networks; of points in the plane, always mlp."""
    z_dim: int = 100
    """Length of a latent vector."""
    width: int = 32
    """Channels that those of all layers follow from, as the architecture says; of mlp,
    the features of each hidden layer."""
    conditional: bool = False
    """Condition both networks on the label (projection in D)."""
    g_norm: GeneratorNorm = "batch"
    """Normalisation in the generator."""
    d_norm: DiscriminatorNorm = "batch"
    """Normalisation in the discriminator."""
    local_batch_norm: int = 0
    """Number of devices, each with batch-norm statistics of its own part of the batch,
    as in most other code; the run can then only go on with as many. 0: statistics of
    the whole batch, on any number of devices."""
    g_weight_norm: WeightNorm = "none"
    """Reparametrisation of the generator's weights."""
    d_weight_norm: WeightNorm = "none"
    """Reparametrisation of the discriminator's weights."""
    minibatch_discrimination: int = 0
    """Kernels of minibatch discrimination in D; 0: off."""
    minibatch_std: int = 0
    """Group size of the minibatch standard deviation in D; 0: off."""

    # The game.
    objective: Annotated[str, OBJECTIVES] = "non-saturating"
    """What both networks minimise."""
    penalty: Annotated[str, PENALTIES] = "none"
    """Gradient penalty on D."""
    penalty_weight: float = 10.0
    """Multiplier of the penalty: lambda of WGAN-GP, gamma/2 of R1 and R2."""
    penalty_every: int = 1
    """Apply the penalty at every k-th step alone, k times as strong, in an update of D
    of its own, for which D's rates are a little lower; 1: in each update."""
    weight_clip: float = 0.0
    """Clip D's weights into [-c, c] after each of its updates; 0: off."""
    n_critic: int = 1
    """Updates of D for each update of G, each on a fresh batch of real images."""
    d_every: int = 1
    """Update D only at every k-th step."""
    g_own_batch: bool = False
    """Update G on real images and latents of its own, not on those of D's update."""
    style_mixing: float = 0.0
    """Probability, per step, that the layers of stylegan2's G after a random one take
    the styles of a second batch of latents; 0: off."""
    path_length: float = 0.0
    """Weight of stylegan2's path length regularisation, by which images move equally
    far with the styles, wherever these are; 0: off."""
    path_length_every: int = 4
    """Steps between updates of G by this alone, so many times as strong, for which G's
    rates are a little lower."""
    feature_matching: float = 0.0
    """Weight of feature matching in G's loss; 0: off."""
    aux_classifier: float = 0.0
    """Weight of the auxiliary classifier's loss in both networks; 0: off."""
    g_orthogonal: float = 0.0
    """Weight of orthogonal regularisation of G's weights; 0: off."""
    label_smoothing: float = 0.0
    """One-sided: the real target is 1 - s."""
    label_flip: float = 0.0
    """Share of D's labels that are swapped."""
    instance_noise: float = 0.0
    """Standard deviation of the noise on D's input at step 0; 0: off."""
    instance_noise_steps: int = 1000
    """Steps over which that noise decays linearly to nothing."""
    augment: str = NONE
    """What D sees instead of real and generated images: none; diffaugment, or some of
    its policies in any order, as in diffaugment:translation,cutout,color; ada; or
    ada:r3gan, with colours changed half as often, and boxes cut out."""
    augment_p: float | None = None
    """Probability of each of ada's transformations; without it, it follows from how
    well D tells real images."""
    flip: bool = False
    """Mirror each real image, left to right, with probability 1/2."""

    # Optimisers.
    optimizer: Optimizer = "adam"
    """Optimiser of both networks."""
    g_lr: float = 2e-4
    """Learning rate of the generator."""
    d_lr: float = 2e-4
    """Learning rate of the discriminator."""
    adam_betas: tuple[float, float] = (0.5, 0.999)
    """Decay rates of Adam's two averages."""
    lr_schedule: Schedule = "constant"
    """Both learning rates over the whole run."""
    warmup_steps: int = 0
    """Steps over which both learning rates rise linearly from 0."""
    clip_grad_norm: float = 0.0
    """Clip each network's gradient to this global norm; 0: off."""
    ema_decay: float = 0.0
    """Average G's weights with this decay, and sample from the average; 0: off."""
    ema_half_life: float = 0.0
    """The same, but of what a weight was, half is left after so many images; 0: off."""
    burn_in_images: int | None = None
    """Images over which what has a --final-... moves there, by half a cosine."""
    final_g_lr: float | None = None
    """Learning rate of the generator after the burn-in."""
    final_d_lr: float | None = None
    """Learning rate of the discriminator after the burn-in."""
    final_penalty_weight: float | None = None
    """Multiplier of the penalty after the burn-in."""
    final_beta2: float | None = None
    """Second of --adam-betas after the burn-in."""
    final_ema_half_life: float | None = None
    """--ema-half-life after the burn-in, which may start at 0: at a copy of G."""
    final_augment_p: float | None = None
    """--augment-p after the burn-in."""

    # Arithmetic.
    precision: Precision = "float32"
    """Arithmetic of the networks; parameters stay float32, or are float64."""
    accumulate: int = 1
    """Slices that each update takes its batch in, one after the other: the same update
    in the memory of a slice. Refused where the samples of a batch meet, as in batch
    norm."""

    # What the run writes.
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    sample_every: int = 50
    """Steps between grids of samples."""
    save_every: int = 400
    """Steps between checkpoints; the last step is always saved."""
    evaluate_every: int = 0
    """Steps between lines of scores.jsonl, each with a checkpoint; 0: off."""

    @property
    def title(self) -> str:
        """What the run is, for people."""
        is_one = self.preset == self.dataset
        name = portable_name(self.dataset)
        return self.preset if is_one else f"{self.preset} on {name}"

    @property
    def dtype(self) -> str:
        """Of the parameters, by NumPy's name."""
        return "float64" if self.precision == "float64" else "float32"

    @property
    def images_per_step(self) -> float:
        """Real images that D is trained on in each step, on average."""
        return self.batch_size * self.n_critic / self.d_every

    @property
    def g_has_batch_norm(self) -> bool:
        """Whether G normalises by its batch's statistics, or by running ones."""
        return self.g_norm in ("batch", "conditional-batch")

    @property
    def g_sees_real(self) -> bool:
        """Whether G's loss compares its images with real ones."""
        return OBJECTIVES[self.objective].relativistic or self.feature_matching > 0

    @property
    def looks_once(self) -> bool:
        """Whether the forward passes of D's loss also give its penalty's gradients."""
        return (
            PENALTIES[self.penalty].squares_slopes
            and self.penalty_every == 1
            # In training mode D's look would advance spectral norm's power iteration.
            and ARCHITECTURES[self.architecture].d_is_plain
            and self.d_weight_norm != "spectral"
            # The penalty has each kind's images as D sees the real ones.
            and self.augment == NONE
        )

    @property
    def style_layers(self) -> int:
        """Layers of G that have a style each; 0 where there are no styles."""
        count = ARCHITECTURES[self.architecture].style_layers
        return 0 if count is None else count(self.image_size)

    @property
    def d_lazy_factor(self) -> float:
        """What D's rates are multiplied by: see `lazy_factor`."""
        return lazy_factor(self.penalty_every)

    @property
    def g_lazy_factor(self) -> float:
        """What G's rates are multiplied by."""
        return lazy_factor(self.path_length_every if self.path_length else 1)

    @property
    def has_half_life(self) -> bool:
        """Whether G's average forgets by images seen, not by steps."""
        return self.ema_half_life > 0 or self.final_ema_half_life is not None

    @property
    def has_ema(self) -> bool:
        """Whether an average of G is kept, an EMA, which then is what draws samples."""
        return self.ema_decay > 0 or self.has_half_life

    @property
    def averaging(self) -> str:
        """How G's weights are averaged, for people; empty where they are not."""
        start, final = self.ema_half_life, self.final_ema_half_life
        if final is not None:
            return f"half-life {start:,.0f} to {final:,.0f} images"
        if self.has_half_life:
            return f"half-life {start:,.0f} images"
        return f"decay {self.ema_decay}" if self.has_ema else ""

    @property
    def policies(self) -> tuple[str, ...]:
        """What is done to the images that D sees, in this order."""
        return policies(self.augment)

    @property
    def pipe(self) -> Pipe | None:
        """That of ADA's transformations, where D sees images through it."""
        return PIPES.get(self.augment)

    @property
    def adapts(self) -> bool:
        """Whether the probability of ADA's transformations follows from D's output."""
        return self.pipe is not None and self.augment_p is None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))
        with in_python():
            _check_types(self)
            object.__setattr__(self, "image_size", sizes.normal(self.image_size))
            for rule in (
                _check_choices,
                _check_ranges,
                _check_length,
                _check_combinations,
            ):
                rule(self)


def lazy_factor(every: int) -> float:
    """What rates, and exponents of decay rates, are multiplied by for lazy updates.

    With one update more for each k, a network's k + 1 updates are to go as far, and to
    remember as long, as the k did: c = k / (k + 1).

    Args:
        every: k, the interval; 1: there is no update more.

    References:
        Karras et al. 2020, arXiv:1912.04958, appendix B ("lazy regularization").
    """
    return every / (every + 1) if every > 1 else 1.0


def check_pixel_bits(bits: int | None) -> None:
    """Refuse a number of bits that no image uses of each value; None: all.

    Raises:
        UsageError: it is out of range.
    """
    if bits is not None and not 1 <= bits <= 16:
        raise refuse("pixel_bits", bits, "must be from 1 to 16")


@functools.cache
def _kinds() -> dict[str, Any]:
    """The annotations of the fields, by name."""
    return get_type_hints(TrainConfig, include_extras=True)


def _check_types(config: TrainConfig) -> None:
    for name, kind in _kinds().items():
        # Which of the choices it must be is told later, with a suggestion.
        is_choice, value = get_origin(kind) is Literal, getattr(config, name)
        try:
            conform(value, str if is_choice else kind)
        except Mismatch as error:
            raise refuse(name, shown(error.value), error.rule) from error
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def _check_choices(config: TrainConfig) -> None:
    for name, kind in _kinds().items():
        value = getattr(config, name)
        choices = get_args(kind) if get_origin(kind) is Literal else _table(kind)
        if choices is not None and value not in choices:
            rule = f"must be one of {', '.join(choices)}"
            raise refuse(name, value, rule + suggestion(str(value), choices))
    try:
        policies(config.augment)
    except ValueError as error:
        raise refuse("augment", config.augment, str(error)) from error


def _table(kind: Any) -> Table[Any] | None:
    """The table that has the names of a field with this annotation, if one does."""
    return next((x for x in get_args(kind) if isinstance(x, Table)), None)


def _check_ranges(config: TrainConfig) -> None:
    def each(fits: Callable[[Any], bool], rule: str, *names: str) -> None:
        for name in names:
            value = getattr(config, name)
            if value is not None and not fits(value):
                raise refuse(name, value, rule)

    def at_least(smallest: float, *names: str) -> None:
        each(lambda x: x >= smallest, f"must be {smallest} or more", *names)

    _check_image_size(config)
    check_pixel_bits(config.pixel_bits)
    at_least(2, "batch_size")  # batch norm has no variance of a single image
    at_least(1, "steps", "z_dim", "width", "n_critic", "d_every")
    at_least(1, "instance_noise_steps", "log_every", "sample_every", "save_every")
    at_least(1, "accumulate", "penalty_every")
    at_least(2, "path_length_every")
    at_least(0, "path_length")
    at_least(0, "seed", "minibatch_discrimination", "minibatch_std", "warmup_steps")
    at_least(0, "penalty_weight", "weight_clip", "feature_matching", "aux_classifier")
    at_least(0, "g_orthogonal", "instance_noise", "clip_grad_norm", "evaluate_every")
    at_least(0, "local_batch_norm")
    at_least(0, "final_penalty_weight", "ema_half_life", "final_ema_half_life")
    at_least(1, "burn_in_images")
    rates = ("g_lr", "d_lr", "final_g_lr", "final_d_lr")
    each(lambda x: x > 0, "must be more than 0", "epochs", *rates)
    each(lambda x: 0 <= x <= 1, "must be in [0, 1]", "augment_p", "final_augment_p")
    shares = ("label_smoothing", "label_flip", "ema_decay", "final_beta2")
    each(lambda x: 0 <= x < 1, "must be in [0, 1)", *shares, "style_mixing")
    each(lambda x: x <= _MOST_EPOCHS, f"must be at most {_MOST_EPOCHS}", "epochs")
    if not all(0 <= beta < 1 for beta in config.adam_betas):
        raise refuse("adam_betas", config.adam_betas, "both must be in [0, 1)")


def _check_image_size(config: TrainConfig) -> None:
    size = config.image_size
    if config.dataset in POINTS:
        if size != 1:
            raise refuse(
                "image_size",
                size,
                f"points of {config.dataset} have size 1;{_POINTS_HINT}",
            )
    elif size == 1:
        rule = f"must be {sizes.SQUARES}; 1 is for points in the plane"
        raise refuse("image_size", size, rule)
    elif not sizes.fits(size):
        raise refuse("image_size", size, sizes.rule(size))


def _check_length(config: TrainConfig) -> None:
    if (config.steps is None) == (config.epochs is None):
        raise refuse("steps", config.steps, "give exactly one of --steps and --epochs")


def _check_combinations(config: TrainConfig) -> None:
    check_reading(config.dataset, vars(config))
    _check_burn_in(config)
    _check_average(config)
    makes_points = ARCHITECTURES[config.architecture].makes_points
    if config.dataset in POINTS and not makes_points:
        able = [name for name, traits in ARCHITECTURES.items() if traits.makes_points]
        raise refuse(
            "architecture",
            config.architecture,
            f"{config.dataset} needs {' or '.join(able)};{_POINTS_HINT}",
        )
    for name, is_on in (("augment", config.policies), ("flip", config.flip)):
        if is_on and config.dataset in POINTS:
            rule = f"is for images, which points of {config.dataset} are not"
            raise refuse(name, getattr(config, name), rule)
    _check_ada(config)
    _check_architecture(config)
    if config.n_critic > 1 and config.d_every > 1:
        raise refuse(
            "d_every", config.d_every, "cannot be combined with --n-critic above 1"
        )
    if PENALTIES[config.penalty].per_sample and config.d_norm == "batch":
        raise refuse(
            "penalty",
            config.penalty,
            "is per sample, but --d-norm batch ties the samples of a batch together;"
            " use instance, layer, group or none",
        )
    _check_slices(config)
    _check_local_norms(config)
    _check_lazy(config)
    if config.g_norm == "conditional-batch" and not config.conditional:
        raise refuse("g_norm", config.g_norm, "needs --conditional")
    if config.minibatch_std == 1:
        raise refuse("minibatch_std", 1, "one image has no deviation; 0 is without")
    if config.minibatch_std and config.batch_size % config.minibatch_std:
        raise refuse(
            "minibatch_std",
            config.minibatch_std,
            f"must divide --batch-size {config.batch_size}",
        )
    for name in ("label_smoothing", "label_flip"):
        if getattr(config, name) and not OBJECTIVES[config.objective].has_targets:
            raise refuse(
                name,
                getattr(config, name),
                f"has no meaning for --objective {config.objective}, which has no"
                " targets 1 and 0",
            )
    if config.aux_classifier and not config.conditional:
        raise refuse(
            "aux_classifier",
            config.aux_classifier,
            "needs --conditional: G must know the class that its images are judged by",
        )


def _check_architecture(config: TrainConfig) -> None:
    """Refuse what means nothing to the networks, and sizes that they cannot have."""
    architecture = ARCHITECTURES[config.architecture]
    for name in ("g_norm", "d_norm"):
        if getattr(config, name) == "instance" and not architecture.has_feature_maps:
            raise refuse(
                name,
                "instance",
                f"has one value a channel to normalise in {config.architecture}",
            )
    for name, value in architecture.lacks.items():
        if getattr(config, name) != value:
            raise refuse(
                name,
                getattr(config, name),
                f"means nothing to {config.architecture}; use {value}",
            )
    size, least_z_dim = config.image_size, architecture.least_z_dim
    if isinstance(size, tuple) and not architecture.makes_rectangles:
        rule = f"{config.architecture} makes squares alone"
        raise refuse("image_size", size, rule)
    if least_z_dim is not None and config.z_dim < (least := least_z_dim(size)):
        rule = f"must be {least} or more, as {config.architecture} splits it at"
        parts = f"{sizes.both(size)} into so many parts"
        raise refuse("z_dim", config.z_dim, f"{rule} {parts}")


def _check_ada(config: TrainConfig) -> None:
    if config.augment_p is not None and config.pipe is None:
        raise refuse("augment_p", config.augment_p, f"is for --augment {ADA}")
    if config.adapts and not OBJECTIVES[config.objective].has_signs:
        raise refuse(
            "augment",
            config.augment,
            "goes by the sign of D's output, which says nothing with --objective"
            f" {config.objective}; give --augment-p",
        )


def _check_slices(config: TrainConfig) -> None:
    """Refuse slices of a batch that would be no batch to something."""
    count, size = config.accumulate, config.batch_size
    if count == 1:
        return
    if found := meetings(config):
        where = ", ".join(
            f"{flag(x.field)} {getattr(config, x.field)} ({x.how})" for x in found
        )
        rule = f"must be 1, as the samples of a batch meet in {where}"
        raise refuse("accumulate", count, rule)
    if size % count:
        raise refuse("accumulate", count, f"must divide --batch-size {size}")


def _check_lazy(config: TrainConfig) -> None:
    """Refuse what has updates of its own where these are not that simple."""
    has_styles = ARCHITECTURES[config.architecture].has_styles
    for name in ("style_mixing", "path_length"):
        if getattr(config, name) and not has_styles:
            rule = f"{config.architecture} has no styles"
            raise refuse(name, getattr(config, name), rule)
    if config.path_length and config.optimizer != "adam":
        raise refuse("path_length", config.path_length, "needs --optimizer adam")
    if config.penalty_every == 1:
        return
    for is_right, rule in (
        (config.penalty != "none", "needs a --penalty"),
        (config.optimizer == "adam", "needs --optimizer adam"),
        (config.n_critic == 1, "cannot be combined with --n-critic above 1"),
        (config.d_every == 1, "cannot be combined with --d-every above 1"),
    ):
        if not is_right:
            raise refuse("penalty_every", config.penalty_every, rule)


def _check_local_norms(config: TrainConfig) -> None:
    devices, size = config.local_batch_norm, config.batch_size
    if not devices:
        return
    if not (config.g_has_batch_norm or config.d_norm == "batch"):
        raise refuse("local_batch_norm", devices, "neither network has batch norm")
    if size % devices or size < 2 * devices:
        rule = f"must divide --batch-size {size}, and leave two images or more to each"
        raise refuse("local_batch_norm", devices, rule)


def _check_burn_in(config: TrainConfig) -> None:
    """Refuse ends that nothing moves to, and burn-ins that move nothing."""
    fields = [field.name for field in dataclasses.fields(config)]
    finals = [name for name in fields if name.startswith("final_")]
    given = [name for name in finals if getattr(config, name) is not None]
    if given and config.burn_in_images is None:
        rule = "needs --burn-in-images, after how many it is reached"
        raise refuse(given[0], getattr(config, given[0]), rule)
    if not given and config.burn_in_images is not None:
        rule = f"needs one of {', '.join(map(flag, finals))}"
        raise refuse("burn_in_images", config.burn_in_images, rule)
    is_constant = config.lr_schedule == "constant"
    no_schedule = f"cannot be combined with --lr-schedule {config.lr_schedule}"
    for name, is_right, rule in (
        ("final_g_lr", is_constant, no_schedule),
        ("final_d_lr", is_constant, no_schedule),
        ("final_penalty_weight", config.penalty != "none", "needs a --penalty"),
        ("final_beta2", config.optimizer == "adam", "needs --optimizer adam"),
        (
            "final_augment_p",
            config.augment_p is not None,
            "needs --augment-p, which it moves from",
        ),
    ):
        if name in given and not is_right:
            raise refuse(name, getattr(config, name), rule)


def _check_average(config: TrainConfig) -> None:
    """Refuse a decay beside a half-life, which says it too."""
    if config.ema_decay and config.has_half_life:
        raise refuse(
            "ema_decay",
            config.ema_decay,
            f"cannot be combined with a half-life ({config.averaging}); 0 is without",
        )


def check_reading(dataset: str, reading: Mapping[str, Any]) -> None:
    """Refuse ways to read images where there are none to be read in that way.

    Args:
        dataset: its name.
        reading: values of the fields that say how, by name.

    Raises:
        UsageError: one of them is not as usual, and the images are of no folder.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    for name in _READING:
        value = reading[name]
        if value == defaults[name] or is_folder(dataset):
            continue
        # Three digits as the channels of an image are no colours.
        if name != "channels" or dataset in (*POINTS, STACKED):
            raise refuse(name, value, f"is for images of {FOLDER}PATH")


def config_to_json(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON types, with its version."""
    values = {"version": CONFIG_VERSION, **dataclasses.asdict(config)}
    for name, default in left_out_of_json().items():
        if values[name] == default:
            del values[name]
    return values


def left_out_of_json() -> dict[str, Any]:
    """What `config_to_json` may leave out, and what it then stands for."""
    fields = dataclasses.fields(TrainConfig)
    return {x.name: x.default for x in fields if x.name in _STORED_IF_USED}


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """The inverse of `config_to_json`.

    Raises:
        UsageError: the values are of a newer version, unknown or refused.
    """
    values = dict(values)
    version = values.pop("version", None)
    if type(version) is not int or not 1 <= version <= CONFIG_VERSION:
        raise UsageError(
            f"configuration version {shown(version)}: this program reads versions up to"
            f" {CONFIG_VERSION}; use a newer program"
        )
    if wrong := sorted(values.keys() - _kinds().keys()):
        raise UsageError(
            f"configuration: unknown {printable(', '.join(wrong))}"
            + suggestion(wrong[0], _kinds())
        )
    for name, kind in _kinds().items():
        table, value = _table(kind), values.get(name)
        if table is not None and isinstance(value, str) and value not in table:
            raise UsageError(
                f"configuration: unknown {name} {shown(value)}; is the --plugin"
                " missing that registers it?"
            )
    return TrainConfig(**values)
