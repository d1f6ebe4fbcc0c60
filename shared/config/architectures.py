"""What is known of each architecture; its networks are in the twins' ``models``.

The only place that tells one from another by its name: rules and remedies ask for a
trait, and so serve those that users register too.
"""

import dataclasses

from shared.config.tables import Table


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureTraits:
    """What is known of an architecture."""

    makes_points: bool = False
    """Whether its networks can be of points in the plane."""
    has_feature_maps: bool = True
    """Whether the layers that are normalised have more than one pixel, without which
    instance norm has nothing to do."""


ARCHITECTURES = Table(
    "architecture",
    {
        "dcgan": ArchitectureTraits(),
        "mlp": ArchitectureTraits(makes_points=True, has_feature_maps=False),
    },
)
