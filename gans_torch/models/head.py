"""From a discriminator's last feature map to what it says, for every architecture."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gans_torch import layers
from gans_torch.models.labels import Labels, class_ids
from gans_torch.shapes import Images
from shared import sizes
from shared.randomness.starts import DCGAN
from shared.sizes import ImageSize
from shared.statements import Start


class Outputs(NamedTuple):
    """What a discriminator says of a batch of images."""

    logits: Float[Tensor, " batch"]
    """Before any sigmoid; a critic's scores."""
    features: Float[Tensor, "batch channels height width"]
    """Last feature map; for feature matching."""
    class_logits: Float[Tensor, "batch classes"] | None
    """Of the auxiliary classifier, where there is one."""


class Head(nn.Module):
    """The end of a discriminator: what it says of its last feature map.

    Args:
        channels: channels of the last feature map.
        size: its height and width.
        bias: whether the logit has a bias.
        start: how the kernels start.
        table_start: how the table of classes starts.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes to condition on by projection; 0 for none (Miyato and
            Koyama 2018, arXiv:1802.05637, Eq. 4).
        aux_classes: classes of the auxiliary classifier; 0 for none.
        minibatch_discrimination: kernels of `layers.MinibatchDiscrimination`, or 0.
        minibatch_std: group size of `layers.MinibatchStd`, or 0.
    """

    # On file its arrays are the discriminator's own: ``discriminator.conv.weight``.
    nameless = True

    def __init__(
        self,
        *,
        channels: int,
        size: ImageSize,
        bias: bool,
        start: Start = DCGAN,
        table_start: Start = DCGAN,
        weight_norm: str,
        num_classes: int,
        aux_classes: int,
        minibatch_discrimination: int,
        minibatch_std: int,
    ) -> None:
        super().__init__()
        self.minibatch_discrimination = (
            layers.MinibatchDiscrimination(
                channels * sizes.pixels(size), minibatch_discrimination
            )
            if minibatch_discrimination
            else None
        )
        self.minibatch_std = (
            layers.MinibatchStd(minibatch_std) if minibatch_std else None
        )
        extra = minibatch_discrimination + (1 if minibatch_std else 0)
        conv = layers.Conv2d(channels + extra, 1, kernel_size=size, bias=bias)
        self.conv = layers.reparametrise(conv.starting(start), weight_norm)
        table = layers.Embedding(num_classes, channels) if num_classes else None
        self.embedding = (
            None
            if table is None
            else layers.reparametrise(table.starting(table_start), weight_norm)
        )
        self.classifier = (
            layers.reparametrise(
                layers.Conv2d(channels, aux_classes, kernel_size=size).starting(start),
                weight_norm,
            )
            if aux_classes
            else None
        )

    def forward(self, features: Images, labels: Labels = None) -> Outputs:
        """What D says of the images with this last feature map.

        Args:
            features: the last feature map.
            labels: class ids, for a conditional discriminator.

        Raises:
            UsageError: a conditional discriminator got no labels.
        """
        x = features
        if self.minibatch_discrimination is not None:
            closeness = self.minibatch_discrimination(features)
            x = torch.cat([x, _as_maps(closeness, features)], dim=1)
        if self.minibatch_std is not None:
            spread = self.minibatch_std(features)
            x = torch.cat([x, _as_maps(spread[:, None], features)], dim=1)
        logits = self.conv(x).flatten()
        if self.embedding is not None:
            of_class = self.embedding(class_ids(labels, "discriminator"))
            pooled = features.sum(dim=(2, 3))
            logits = logits + (of_class * pooled).sum(dim=1)
        class_logits = None
        if self.classifier is not None:
            class_logits = self.classifier(features).flatten(1)
        return Outputs(logits, features, class_logits)


def _as_maps(
    x: Float[Tensor, "batch features"], like: Images
) -> Float[Tensor, "batch features height width"]:
    """Each feature as a constant map, to stand beside the last feature map."""
    return x[:, :, None, None].expand(-1, -1, *like.shape[2:])
