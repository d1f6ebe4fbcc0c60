"""Several devices compute what one computes, and both twins the same.

All are compared with PyTorch on one device. The short certificate has few steps of
settings that have several things in them where samples meet, and a run that goes on
from one number of devices to another, and from twin to twin; the full one has 20 steps
of every variant, objective and remedy:

    python -m parity_tests --full --only 'devices/*'
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons import accumulation, ada, first_steps, trajectories
from parity_tests.comparisons.trajectories import REMEDIES, VARIANTS, combine
from parity_tests.harness import devices
from parity_tests.harness.devices import Job, State
from parity_tests.harness.local_norms import norms_of_parts
from parity_tests.harness.trajectories import (
    compare_runs,
    go_on,
    make_data,
    make_session,
    shrink,
)
from parity_tests.mutants.devices import KINDS, MUTANTS
from parity_tests.mutants.mutation import Mutant
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import OBJECTIVES
from shared.files.arrays import Arrays

_COVERS = tuple(
    f"distribution.{name}"
    for name in (
        *("average", "average_gradients", "count", "deviation", "gather", "moments"),
        *("norm_moments", "norm_record", "own", "together"),
    )
)
_STEPS, _FULL_STEPS = 3, 20
# Those that JAX tries in the short certificate; it takes seconds to compile one.
_JAX = ("pairs", "burn-in", "ada", "points", "sliced points", "local norms")
_DRAWING = "drawing"
# The configuration of the run that goes on elsewhere.
_RELAYED = "points"


def _short() -> dict[str, TrainConfig]:
    configs = {
        name: first_steps.make_config(name, batch_size=8)
        for name in first_steps.CONFIGS
    }
    small = {"image_size": 8, "width": 4, "z_dim": 3, "batch_size": 8}
    # A second derivative through what compares samples; four groups of three, so that
    # no two devices have the same groups in the same order.
    pairs = {"minibatch_discrimination": 2, "minibatch_std": 3, "d_norm": "layer"}
    objective = {"objective": "relativistic-average", "penalty": "r1"}
    small_pairs = small | pairs | objective | {"batch_size": 12}
    configs["pairs"] = shrink(PRESETS["gan"], **small_pairs)
    configs["local norms"] = _with_local_norms(batch_size=16)
    # Norms and pairs, in what JAX compiles soonest.
    configs["points"] = _with_local_norms(
        batch_size=12, local_batch_norm=0, minibatch_std=3
    )
    configs["ada"] = first_steps.make_config(
        "averages", batch_size=8, augment="ada", d_norm="none"
    )
    configs["slices"] = accumulation.CONFIGS["pairs"]
    configs["sliced points"] = accumulation.CONFIGS["points"]
    # Averages that G keeps of styles and of path lengths; deviations in D.
    configs["styles"] = VARIANTS["stylegan2"].config
    configs["dragan"] = shrink(PRESETS["dragan"], **small, clip_grad_norm=0.1)
    return configs


def _with_local_norms(**changes: Any) -> TrainConfig:
    norms = {"g_norm": "batch", "d_norm": "batch", "local_batch_norm": 2}
    points = {"dataset": "ring", "image_size": 1}
    return shrink(PRESETS["ring"], **points | norms | changes)


def _full() -> dict[str, TrainConfig]:
    configs = {f"variant, {name}": x.config for name, x in VARIANTS.items()}
    for name in OBJECTIVES:
        configs[f"objective, {name}"] = shrink(PRESETS["gan"], objective=name)
    for name in REMEDIES:
        base = "hinge" if name.startswith("penalty") else "gan"
        configs[f"remedy, {name}"] = combine(base, name)
    configs["norms, local"] = _with_local_norms(batch_size=24)
    return configs


SHORT, FULL = _short(), _full()


class _Group(NamedTuple):
    """Devices that are started together."""

    twin: str
    count: int
    is_full: bool = False
    apart: bool = False
    """Whether each has a process, as in PyTorch they always have."""
    is_brief: bool = False
    """Whether they try no more than the relay, `KINDS`, and what these are told by."""

    @property
    def title(self) -> str:
        """What a comparison's name says of them."""
        return f"{self.twin}{' processes' * self.apart}, {self.count}"

    @property
    def draws(self) -> bool:
        """Whether its processes draw together."""
        is_short = not self.is_full and not self.is_brief
        return is_short and (self.twin == "torch" or self.apart)

    @property
    def configs(self) -> dict[str, TrainConfig]:
        """What they are trained with; apart, JAX does what it does in one process."""
        if self.apart:
            return {}
        chosen = FULL if self.is_full else SHORT
        names = set(_JAX if self.twin == "jax" and not self.is_full else chosen)
        if self.is_brief:
            names = {_RELAYED, *(mutant.suspects[0] for mutant in self.mutants)}
        return {
            name: _on(self.count, config)
            for name, config in chosen.items()
            if name in names
        }

    @property
    def mutants(self) -> list[Mutant]:
        """What is to be told from the truth, of its twin."""
        chosen = KINDS if self.is_brief else MUTANTS
        if self.is_full:  # those that the short certificate leaves out
            brief = self._replace(is_full=False, is_brief=True)
            chosen = [x for x in MUTANTS if brief in _RELAY and x not in KINDS]
        if self.apart:
            return []
        return [x for x in chosen if x.twin == f"gans_{self.twin}"]

    @property
    def steps(self) -> int:
        """How many."""
        return _FULL_STEPS if self.is_full else _STEPS


def _on(count: int, config: TrainConfig) -> TrainConfig:
    """The configuration for so many devices."""
    count = count if config.local_batch_norm else 0
    return dataclasses.replace(config, local_batch_norm=count)


# Each goes on with the run of points where the one before has left it; the first, where
# one device has.
_RELAY = (
    _Group("torch", 2),
    _Group("jax", 4),
    _Group("torch", 4, is_brief=True),
    _Group("jax", 2, is_brief=True),
)


def _groups() -> Iterator[_Group]:
    yield from _RELAY
    yield _Group("jax", 2, apart=True)
    for twin in ("torch", "jax"):
        for count in (2, 4):
            yield _Group(twin, count, is_full=True)


def _channels(config: TrainConfig) -> int:
    return 2 if config.image_size == 1 else 1


def _job(
    name: str,
    config: TrainConfig,
    steps: int,
    start: tuple[Arrays, int] | None = None,
    edits: Any = (),
) -> Job:
    data = make_data(config.image_size, _channels(config))
    return Job(name, config, data, steps, start or _first(config), edits)


def _first(config: TrainConfig) -> tuple[Arrays, int] | None:
    """What a run starts from; None: the seed's."""
    if not config.adapts:
        return None
    return ada.about_to_decide(make_session(config, 1, "torch")), 0


def _traps(group: _Group) -> list[Job]:
    """A job for each mutant."""
    return [
        _job(
            mutant.name,
            _on(group.count, SHORT[mutant.suspects[0]]),
            2,
            edits=mutant.edits,
        )
        for mutant in group.mutants
    ]


def _handed_on(group: _Group, name: str) -> tuple[Arrays, int] | None:
    """State and step that the one before has left, of the run that is relayed."""
    if name != _RELAYED or group not in _RELAY:
        return None
    leg = _RELAY.index(group)
    before = _trained(_RELAY[leg - 1])[0][name] if leg else _alone(SHORT[name], _STEPS)
    arrays = {key: x for key, x in before[-1].items() if "." in key}
    return arrays, _STEPS * (leg + 1)


@functools.cache
def _trained(group: _Group) -> list[dict[str, list[State]]]:
    """What each process has computed: as starting them takes long, all at once."""
    jobs = [
        _job(name, x, group.steps, _handed_on(group, name))
        for name, x in group.configs.items()
    ]
    if group.draws:
        config = shrink(PRESETS["cgan"], image_size=8, width=4, z_dim=3)
        jobs.append(_job(_DRAWING, config, 1)._replace(draws=True))
    jobs += _traps(group)
    return devices.train(group.twin, group.count, jobs, group.apart)


@functools.lru_cache(maxsize=20)
def _alone(config: TrainConfig, steps: int) -> list[State]:
    """The same on one device, and of the whole batch at once."""
    whole = dataclasses.replace(config, accumulate=1)
    session = make_session(whole, _channels(config), "torch")
    with norms_of_parts(config.local_batch_norm or 1):
        session.start()
        if start := _first(config):
            session.restore(*start)
        return list(go_on(session, steps))


def _compare(group: _Group, name: str) -> list[Finding]:
    first, *others = (told[name] for told in _trained(group))
    config = group.configs[name]
    _, step = _handed_on(group, name) or (None, 0)
    alone = _alone(config, step + group.steps)[step:]
    findings = compare_runs(
        alone,
        first,
        _tolerance(group, config),
        cancelled=trajectories.cancelled(config),
    )
    differing = sum(
        not np.array_equal(value, state[key])
        for other in others
        for states in zip(first, other, strict=True)
        for state in states[1:]
        for key, value in states[0].items()
    )
    if config.local_batch_norm:
        whole = _alone(dataclasses.replace(config, local_batch_norm=0), group.steps)
        same = all(x.holds for x in compare_runs(alone, whole, findings[0].tolerance))
        findings.append(Finding("as with global norms", float(same), "exact"))
    if others:
        findings.append(Finding("devices that differ", float(differing), "exact"))
    return findings


def _tolerance(group: _Group, config: TrainConfig) -> str:
    _, _, loose = trajectories.tolerance(config).partition("float64, ")
    # Through 20 steps, some bias or other is as good as free.
    if group.is_full:
        loose = loose or "free bias"
    return "devices, float64" + (f", {loose}" if loose else "")


def _compare_drawn(group: _Group) -> list[Finding]:
    """All devices draw what one of them draws of the same batches, in their order."""
    drawn = _trained(group)[0][_DRAWING][-1]
    differing = np.count_nonzero(drawn["together"] != drawn["alone"])
    assert np.ptp(drawn["alone"]) > 0, "there is something to be seen"
    return [Finding("numbers that differ", float(differing), "exact")]


def _kill(group: _Group) -> list[Finding]:
    """Each trap is noticed by some device."""
    survivors: list[str] = []
    for job in _traps(group):
        alone = _alone(job.config, _STEPS)[: job.steps]
        held = [
            finding.holds
            for told in _trained(group)
            for finding in compare_runs(
                alone, told[job.name], _tolerance(group, job.config)
            )
        ]
        if all(held):
            survivors.append(job.name)
    note = ", ".join(survivors)
    return [
        Finding("traps that nobody notices", float(len(survivors)), "exact", note=note)
    ]


for _group in _groups():
    _is_long = _group.is_full or _group.apart
    for _name in _group.configs:
        check(
            f"devices/{_group.title}/{_name}",
            kind="devices",
            covers=() if _is_long else _COVERS,
            full_only=_is_long,
        )(functools.partial(_compare, _group, _name))
    if _group.draws:
        check(f"devices/{_group.title}/{_DRAWING}", kind="devices", full_only=_is_long)(
            functools.partial(_compare_drawn, _group)
        )
    if _group.mutants:
        _label = f"devices/{_group.title}/{'other ' * _group.is_full}traps"
        check(_label, kind="devices", full_only=_group.is_full)(
            functools.partial(_kill, _group)
        )
