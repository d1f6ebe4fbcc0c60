"""How each curve is to be read, by the objective: a sentence, and where the game ends.

Objectives are told apart by their traits alone, so that a user's own has a guide too.
"""

from typing import NamedTuple

from shared.config.augmentation import TARGET
from shared.config.train_config import TrainConfig
from shared.config.traits import OBJECTIVES, PENALTIES, ObjectiveTraits


class Line(NamedTuple):
    """A value that a curve is to be compared with."""

    label: str
    value: float


# Of charts that are read alike whatever the objective.
_ALWAYS = {
    "FID": "It should fall, fast at first; where it rises for long, an earlier"
    " checkpoint is better: --step best.",
    "KID": "As FID, and about 0, or a little below, where both sets are alike.",
    "Quality and variety": "Quality without variety is a collapse, variety without"
    " quality are bad images: want both.",
    "Modes covered": "It should reach the number of modes and stay; a fall is a"
    " collapse.",
    "Inception score": "It rises to the number of classes at most, and cannot see"
    " whether images differ within a class.",
    "Classes hit": "It should reach the number of classes early and stay.",
    "KL divergence of the classes": "It should fall towards 0 and stay there.",
    "Gradients of the weights": "Steady, whatever its height, is healthy; a climb"
    " without end or a fall to a hundredth is not.",
    "Samples": "Diversity should rise towards 1, that of real images, and stay; a fall"
    " is a collapse. The gap of batch norm's modes should stay near 0.",
    "Images per second": "Steady; a fall means that something else uses the machine.",
    "Waiting for the host": "Near 0; more means that the data are not ready in time.",
    "Further terms": "Each should fall, as it is a part of a loss.",
    "Overlap of the weights": "Steady or falling is healthy, whatever its height, which"
    " grows with the network; a climb without end needs a larger --g-orthogonal.",
    "Path length": "It should rise at first and level off: G's images then move evenly"
    " with the style.",
    "Augmentation": "The sign should come down to the line and stay, p level off. A p"
    " that climbs without end: D knows the images by heart all the same; more of them"
    " would help. A p of 0: there was no need.",
}


def sentence(config: TrainConfig, group: str) -> str:
    """What a healthy chart shows, in a sentence or two; empty: nobody knows.

    Args:
        config: the run's configuration.
        group: the chart's title.
    """
    traits = OBJECTIVES[config.objective]
    if group == "Losses":
        return _of_losses(traits)
    if group == "Output of D":
        return _of_outputs(traits)
    if group == "Wasserstein estimate":
        return (
            "It rises while the critic learns, then falls as G gets better: the one"
            " loss that follows the images. A climb without end has no bound."
        )
    if group == "Penalty":
        slope = PENALTIES[config.penalty].slope
        if slope is None:
            return "The penalty should stay small, the norm of D's gradient bounded."
        where = "at most" if PENALTIES[config.penalty].one_sided else "near"
        return f"The norm of D's gradient should stay {where} {slope:g}."
    return _ALWAYS.get(group, "")


def _of_losses(traits: ObjectiveTraits) -> str:
    if traits.wasserstein:
        return (
            "A critic's losses have no floor and no scale of their own: read the"
            " Wasserstein estimate instead."
        )
    if traits.chance_loss is None:
        return "Steady is healthy; neither loss says how good the images look."
    chance = (
        f"At {traits.chance_loss:.3g} D cannot tell generated images from real ones."
    )
    if traits.saturating:
        return f"{chance} Where D's loss is near 0, this G learns nothing at all."
    return (
        f"{chance} Steady below it is healthy, near 0 for long means that D has won;"
        " G's may rise while images get better."
    )


def _of_outputs(traits: ObjectiveTraits) -> str:
    if traits.has_targets:
        return (
            "Real near 1 and generated near 0 for long: D has won. Both near ½: D"
            " cannot tell them apart."
        )
    return "Only the distance between the curves counts, not their height."


def lines(config: TrainConfig, group: str) -> list[Line]:
    """What a chart's curves are to be compared with: mostly, where the game ends.

    Args:
        config: the run's configuration.
        group: the chart's title.
    """
    traits = OBJECTIVES[config.objective]
    if group == "Wasserstein estimate":
        return [Line("equal", 0.0)]
    if group == "Augmentation":
        part, whole = TARGET
        return [Line("target of the sign", part / whole)]
    if group == "Penalty":
        slope = PENALTIES[config.penalty].slope
        return [] if slope is None else [Line("slope", slope)]
    # Targets that are smoothed or swapped have another end.
    if config.label_smoothing or config.label_flip:
        return []
    if group == "Output of D" and traits.has_targets:
        return [Line("cannot tell", 0.5)]
    if group == "Losses":
        values = {"D": traits.chance_loss, "G": traits.g_chance_loss}
        if traits.relativistic:  # one line, if it is one value
            values = {" and ".join(values): traits.chance_loss}
        return [
            Line(f"{name} cannot tell" if name == "D" else f"{name} then", value)
            for name, value in values.items()
            if value is not None
        ]
    return []
