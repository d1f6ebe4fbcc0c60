"""What a run came to, in four short answers at the top of its page."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.config.choices import POINTS
from shared.config.schedules import images_seen
from shared.config.train_config import TrainConfig
from shared.diagnosis.symptoms import DIVERGENCE, LASTING_STEPS
from shared.diagnosis.watch import Diagnosis
from shared.quantities import DECIDING, QUANTITIES
from shared.run.evaluations import StoredEvaluation
from shared.run.rollbacks import Rollback, went_back


class Tile(NamedTuple):
    """An answer."""

    title: str
    answer: str
    detail: str
    is_bad: bool = False
    """Whether it is to be seen at once."""


def score(
    scores: Sequence[Mapping[str, Any]],
    evaluations: Sequence[StoredEvaluation],
    command: str,
) -> Tile:
    """How good the samples are: the last evaluation, or the last score on the way.

    Args:
        scores: records of scores.jsonl.
        evaluations: what ``evaluate`` has left.
        command: that scores.
    """
    for name in DECIDING:
        title = QUANTITIES[name].heading()
        for stored in reversed(evaluations):
            if found := stored["scores"].get(name):
                # The weak judge's words come before the number is believed.
                detail = "; ".join(
                    [f"after step {stored['step']}", *stored.get("warnings", [])]
                )
                bad = bool(stored.get("warnings"))
                return Tile(title, found["shown"], detail, bad)
        for record in reversed(scores):
            if (value := record.get(name)) is not None:
                shown = f"{value:.{QUANTITIES[name].decimals}f}"
                detail = f"while training, step {record['step']}; of one draw"
                return Tile(title, shown, detail)
    return Tile("Score", "none yet", command)


def time_and_images(
    config: TrainConfig, metrics: Sequence[Mapping[str, Any]], step: int
) -> Tile:
    """How long it trained, and on how many images.

    Args:
        config: the run's configuration.
        metrics: records of metrics.jsonl.
        step: the last.
    """
    seconds = _seconds(config, metrics)
    what = "points" if config.dataset in POINTS else "images"
    steps = f"{step:,} step{'' if step == 1 else 's'}"
    without = "unknown" if step else "not yet"
    return Tile(
        "Trained",
        _duration(seconds) if seconds else without,
        f"{images_seen(config, step):,} {what} seen, {steps}",
    )


def _seconds(config: TrainConfig, metrics: Sequence[Mapping[str, Any]]) -> float:
    """How long it trained.

    Older versions noted no seconds, but rates, each of all steps since the last grid or
    evaluation: of those between two, the last tells.
    """
    every = [n for n in (config.sample_every, config.evaluate_every) if n]
    seconds, start = sum(record.get("seconds", 0.0) for record in metrics), 0
    older = [record for record in metrics if "seconds" not in record]
    for _, records in itertools.groupby(
        older, lambda record: [(record["step"] - 1) // n for n in every]
    ):
        window = list(records)
        # A step that diverged has no rate.
        if rated := [x for x in window if x.get("images_per_second")]:
            images = (rated[-1]["step"] - start) * config.images_per_step
            seconds += images / rated[-1]["images_per_second"]
        start = window[-1]["step"]
    return seconds


def twins(frameworks: Sequence[str]) -> Tile:
    """Which twins trained, in turn."""
    return Tile(
        "Twin", ", then ".join(frameworks), "the other one goes on just as well"
    )


def health(
    diagnoses: Sequence[Diagnosis], step: int, rollbacks: Sequence[Rollback]
) -> Tile:
    """Whether it went well, in a sentence.

    Args:
        diagnoses: what was noticed, in the order of time.
        step: the last.
        rollbacks: how often it went back.
    """
    if diagnoses:
        count = len(diagnoses)
        answer = f"{count} warning{'s' if count > 1 else ''}"
        worst = min(diagnoses, key=lambda found: found.problem != DIVERGENCE)
        told = [worst.problem, *([went_back(len(rollbacks))] if rollbacks else [])]
        return Tile("Health", answer, "; ".join([*told, "see below"]), True)
    if rollbacks:
        return Tile("Health", "went back", "it diverged, and went on from before", True)
    if step < LASTING_STEPS:
        return Tile(
            "Health", "too early", f"most trouble shows from step {LASTING_STEPS} on"
        )
    return Tile("Health", "good", "D and G kept each other in balance")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
