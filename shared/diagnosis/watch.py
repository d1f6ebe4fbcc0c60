"""A run that watches itself: what goes wrong, in plain words, with the usual remedy.

Everything is judged from the lines of metrics.jsonl, samples.jsonl and scores.jsonl
alone, so a resumed run comes to the same diagnoses as one that never stopped, and so
does the report, which knows later evaluations too. A symptom counts when *every* value
of some time is beyond its bound: a single bad batch is normal, a state that lasts is
not.
"""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from shared.config.schedules import total_steps
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.diagnosis.symptoms import (
    DIVERSITY_LEAST,
    GRADIENT_NORMS,
    LASTING_STEPS,
    LASTING_VALUES,
    Symptom,
    symptoms,
)

# Diversity is low at first even in healthy runs, and classes come late: they are judged
# from step 1000 on, or in the last quarter of a shorter run.
_DIVERSITY_START_STEPS = 400
_CLASSES_START_STEPS = 1000
_CLASSES_START_SHARE = 0.75
# So long may running statistics lag behind a G that changes fast: half of a run.
_GAP_START_STEPS = 3000
_GAP_START_SHARE = 0.5
# With more, the samples of an evaluation are too few to hit them all.
_MOST_CLASSES = 1000


class Diagnosis(NamedTuple):
    """Something that goes wrong."""

    problem: str
    """What, in plain words."""
    remedy: str
    """The flags that usually help."""
    first: int
    """Step at which it was first seen."""
    last: int
    """Step at which it was last seen."""

    def __str__(self) -> str:
        return f"{self.problem}; try {self.remedy}"


class Watch:
    """Sees the records of a run in order and says what is wrong.

    Args:
        config: the run's configuration.
        data: its data; their classes may be the modes of points.
    """

    def __init__(self, config: TrainConfig, data: DataInfo) -> None:
        self._num_classes = data.num_classes
        total = total_steps(config, data.count)
        late = _CLASSES_START_SHARE * total
        self._classes_start = max(LASTING_STEPS, min(_CLASSES_START_STEPS, late))
        self._gap_start = min(_GAP_START_STEPS, _GAP_START_SHARE * total)
        self.diagnoses: dict[str, Diagnosis] = {}
        """By problem."""
        self._symptoms = symptoms(config)
        # The steps of the last values, as long as all of them are bad.
        self._bad: dict[str, deque[int]] = {
            symptom.problem: deque(maxlen=symptom.lasting) for symptom in self._symptoms
        }
        self._first_norms: dict[str, list[float]] = {
            name: [] for name in GRADIENT_NORMS.values()
        }
        self._most_diversity = 0.0

    def see(self, record: Mapping[str, Any]) -> list[Diagnosis]:
        """Take in one record; returns what it shows for the first time.

        Args:
            record: a line of one of the three files, in the order of steps.
        """
        values = {**record, **self._derived(record)}
        new = []
        for symptom in self._symptoms:
            value = values.get(symptom.metric)
            if value is None or not math.isfinite(value):
                continue
            bad = self._bad[symptom.problem]
            if symptom.low <= value <= symptom.high:
                bad.clear()
                continue
            bad.append(record["step"])
            if len(bad) == symptom.lasting:
                new += self._found(symptom)
        return new

    def conclude(self) -> list[Diagnosis]:
        """Judge the run as it is now; returns what this shows for the first time.

        Scores are rare: the last ones count alone, as none will come to correct them.
        """
        ends = (symptom for symptom in self._symptoms if symptom.last_suffices)
        return [
            diagnosis
            for symptom in ends
            if self._bad[symptom.problem]
            for diagnosis in self._found(symptom)
        ]

    def replay(self, *lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the records of metrics.jsonl, samples.jsonl and scores.jsonl."""
        records = [record for records in lines for record in records]
        for record in sorted(records, key=lambda record: record["step"]):
            self.see(record)

    def _found(self, symptom: Symptom) -> list[Diagnosis]:
        """Note what a symptom shows; returned if it is new."""
        known = self.diagnoses.get(symptom.problem)
        last = self._bad[symptom.problem][-1]
        first = known.first if known else last
        diagnosis = Diagnosis(symptom.problem, symptom.remedy, first, last)
        self.diagnoses[symptom.problem] = diagnosis
        return [] if known else [diagnosis]

    def _derived(self, record: Mapping[str, Any]) -> dict[str, float]:
        """What is judged against the run's own past."""
        derived = {}
        for name in GRADIENT_NORMS.values():
            value, first = record.get(name), self._first_norms[name]
            if value is None or not math.isfinite(value):
                continue
            # A hinge that D satisfies gives it no gradient at all: no measure of any.
            if len(first) < LASTING_VALUES and value > 0:
                first.append(value)
            if first:
                derived[f"relative_{name}"] = value / statistics.median(first)
        diversity = record.get("diversity")
        if diversity is not None:
            self._most_diversity = max(self._most_diversity, diversity)
            # A G that never made different images has nothing to lose.
            if self._most_diversity >= DIVERSITY_LEAST:
                derived["diversity_kept"] = diversity / self._most_diversity
            if record["step"] >= _DIVERSITY_START_STEPS:
                derived["late_diversity"] = diversity
        gap = record.get("batch_norm_gap")
        if gap is not None and record["step"] >= self._gap_start:
            derived["late_batch_norm_gap"] = gap
        if record["step"] >= self._classes_start:
            derived |= self._classes_kept(record)
        return derived

    def _classes_kept(self, record: Mapping[str, Any]) -> dict[str, float]:
        """The share of the classes that G makes, where that was measured."""
        if not 1 < self._num_classes <= _MOST_CLASSES:
            return {}
        if (divergence := record.get("class_kl")) is not None:
            # Of n equally frequent classes, k alone have the divergence log(n / k); a
            # class that is hit by a bad image once in a while hardly counts.
            return {"classes_kept": math.exp(-max(divergence, 0.0))}
        if (modes := record.get("modes")) is not None:
            return {"classes_kept": modes / self._num_classes}
        return {}
