"""The model card: what the Hub shows of a generator."""

import re
from collections.abc import Sequence
from pathlib import Path

import jinja2

from shared import sizes
from shared.config.choices import POINTS, portable_name
from shared.config.traits import ARCHITECTURES
from shared.evaluation.evaluation import NOT_MEANINGFUL
from shared.evaluation.score import standing_words
from shared.run.evaluations import StoredEvaluation
from shared.run.generator import GeneratorState


def model_card(state: GeneratorState, evaluations: Sequence[StoredEvaluation]) -> str:
    """README.md of an exported generator, with the Hub's metadata on top.

    Args:
        state: the generator.
        evaluations: of this generator; each score is shown with its protocol.
    """
    config, data = state.config, state.data
    traits = ARCHITECTURES[config.architecture]
    colour = "in grey" if data.channels == 1 else "in colour"
    return _template().render(
        name=config.title,
        dataset=portable_name(config.dataset),
        step=state.step,
        config=config,
        data=data,
        images=f"{sizes.both(config.image_size)} images {colour}",
        are_points=config.dataset in POINTS,
        # What a plugin's generator ends in is its own choice.
        bounded=traits.bounded and state.plugin is None,
        numbers=sum(x.size for x in state.arrays.values() if x.dtype.kind == "f"),
        plugin=state.plugin,
        standing=standing_words(config, state.standing_stats),
        evaluations=evaluations,
        not_meaningful=NOT_MEANINGFUL,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    # YAML reads a pair of surrogates, as JSON escapes an emoji, as two characters.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters["words"] = _as_words
    return environment.get_template("card.md")


def _as_words(text: object) -> str:
    """A name from outside, of which Markdown takes nothing for a sign."""
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", str(text))
