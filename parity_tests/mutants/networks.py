"""Mutants of the residual networks, BigGAN's and R3GAN's among them."""

from gans_jax import layers as jax_layers
from gans_jax import standing as jax_standing
from gans_jax._convolutions import convolution
from gans_jax.models import dcgan as jax_dcgan
from gans_jax.models import head as jax_head
from gans_jax.models import r3gan as jax_r3gan
from gans_jax.models import resnet as jax_resnet
from gans_torch import equalized as torch_equalized
from gans_torch import layers as torch_layers
from gans_torch import standing as torch_standing
from gans_torch.models import biggan as torch_biggan
from gans_torch.models import r3gan as torch_r3gan
from gans_torch.models import resnet as torch_resnet
from gans_torch.models import stylegan2 as torch_stylegan2
from parity_tests.mutants.mutation import mutant

_GENERATOR = "network/residual/generator"
_DISCRIMINATOR = "network/residual/discriminator"
_BIGGAN = "network/biggan/generator"

MUTANTS = (
    mutant(
        "a linear map's outputs as height, width, channels",
        "they belong to channels, height, width, as the weights on file do",
        jax_resnet.ResnetGenerator.__call__,
        {
            "reshape(z.shape[0], -1, *self.base)": (
                "reshape(z.shape[0], *self.base, -1)"
            ),
            "x = x.transpose(0, 2, 3, 1)": "",
        },
        _GENERATOR,
    ),
    mutant(
        "a norm that is built and not used",
        "it has its arrays and its statistics, and images go past it",
        jax_layers.normalise,
        {"return x if norm is None else norm(x)": "return x"},
        _GENERATOR,
    ),
    mutant(
        "bilinear upsampling",
        "mimicry's; the authors repeat each pixel",
        torch_layers.upsample,
        {'mode="nearest"': 'mode="bilinear"'},
        "layer/resampling",
    ),
    mutant(
        "pooling by the maximum",
        "torch.nn's other pooling",
        torch_layers.average_pool,
        {"avg_pool2d": "max_pool2d"},
        "layer/resampling",
    ),
    mutant(
        "the image repeated, not its pixels",
        "as jnp.tile does, where jnp.repeat belongs",
        jax_layers.upsample,
        {
            "x[:, :, None, :, None]": "x[:, None, :, None, :]",
            "(n, height, 2, width, 2, channels)": "(n, 2, height, 2, width, channels)",
        },
        "layer/resampling",
    ),
    mutant(
        "shortcut of what a ReLU has cut",
        "an in-place ReLU changes what the shortcut sees, as in mimicry and StudioGAN",
        torch_resnet.DownBlock.forward,
        {
            "y = self.conv1(torch.relu(layers.normalise(self.norm1, x)))": (
                "x = torch.relu(layers.normalise(self.norm1, x))\n    y = self.conv1(x)"
            )
        },
        _DISCRIMINATOR,
    ),
    mutant(
        "a ReLU before D's first block",
        "it takes the dark half of every image away",
        jax_resnet.FirstBlock.__call__,
        {
            "self.conv2(jax.nn.relu(self.conv1(x)))": (
                "self.conv2(jax.nn.relu(self.conv1(jax.nn.relu(x))))"
            )
        },
        _DISCRIMINATOR,
    ),
    mutant(
        "sum where Gulrajani has the mean",
        "logits are as many times as large as the last map has pixels",
        torch_resnet.ResnetDiscriminator.forward,
        {"torch.sum if self.pool": "torch.sum if True or self.pool"},
        _DISCRIMINATOR,
    ),
    mutant(
        "labels beside the latents, too",
        "conditional batch norm is all that a label enters by",
        jax_resnet.ResnetGenerator.__init__,
        {"0 if is_conditional else num_classes": "num_classes"},
        _GENERATOR,
    ),
    mutant(
        "a start that a shortcut forgot",
        "DCGAN's deviation in one twin",
        jax_resnet._conv1,
        {"conv.starting(GLOROT)": "conv"},
        "network/statements",
    ),
    mutant(
        "a table that starts as DCGAN's",
        "the projection's rows, which are Glorot's in residual networks",
        jax_head.Head.__init__,
        {"table.starting(table_start)": "table"},
        "network/statements",
    ),
    mutant(
        "a linear map without its bias",
        "the shape is right, and at the start so are the numbers",
        jax_layers.Linear.__call__,
        {"return y if self.bias is None else": "return y if True else"},
        "layer/Linear",
    ),
    # Self-attention.
    mutant(
        "attention that each key divides among the queries",
        "softmax over the wrong axis: the shares of a pixel do not add up to 1",
        torch_layers.SelfAttention.forward,
        {"query.transpose(1, 2) @ key, dim=2": "query.transpose(1, 2) @ key, dim=1"},
        "layer/SelfAttention",
    ),
    mutant(
        "scores over the root of their length",
        "the transformers' attention; SAGAN's scores are not scaled",
        torch_layers.SelfAttention.forward,
        {
            "query.transpose(1, 2) @ key": (
                "query.transpose(1, 2) @ key / query.shape[1] ** 0.5"
            )
        },
        "layer/SelfAttention",
    ),
    mutant(
        "values that are means, keys that are the largest",
        "what is found belongs to other pixels than what was asked",
        torch_layers.SelfAttention.forward,
        {"max_pool(self.value(x))": "average_pool(self.value(x))"},
        "layer/SelfAttention",
    ),
    mutant(
        "attention instead of the image",
        "what is found replaces x, and is not added to it",
        torch_layers.SelfAttention.forward,
        {"self.out(found) + x": "self.out(found)"},
        "layer/SelfAttention",
    ),
    mutant(
        "attention one block too late",
        "at the size of the image instead of half of it",
        torch_resnet.ResnetGenerator.forward,
        {"number == self.attention_after": "number == self.attention_after + 1"},
        _GENERATOR,
    ),
    mutant(
        "one of equal pixels takes the whole gradient",
        "PyTorch's own pooling, where pixels are equal",
        torch_layers.max_pool,
        {
            "x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))": (
                "nn.functional.max_pool2d(x, kernel_size=2)"
            )
        },
        "layer/resampling",
    ),
    # Images that double from another base than 4.
    mutant(
        "a first kernel of 4x4",
        "images of 28 pixels come out with 16",
        jax_dcgan.DcganGenerator.__init__,
        {"kernel_size=sizes.base(image_size)": "kernel_size=4"},
        "network/dcgan/sizes",
    ),
    # Rectangles.
    mutant(
        "a square's deviation",
        "the root of the pixels taken for one of their sides",
        torch_r3gan.R3ganDiscriminator.statements,
        {"math.sqrt(math.prod(self.base))": "self.base[0]"},
        "variant/r3gan-cifar10/rectangle",
    ),
    mutant(
        "a rectangle's pixels column by column",
        "no shape tells, and of squares that is not the form",
        convolution.conv_transpose,
        {
            "return y.reshape(-1, *kernel.shape[:3])": (
                "return y.reshape(-1, width, size, kernel.shape[2]).swapaxes(1, 2)"
            )
        },
        "layer/ConvTranspose2d/rectangle, from 1x1",
        "network/dcgan/rectangles",
    ),
    mutant(
        "pooling that leaves a row out",
        "PyTorch's own, whose result of odd sizes is rounded down",
        torch_layers.max_pool,
        {
            "torch.cat([x, x.narrow(axis, -1, 1)], dim=axis)": (
                "x.narrow(axis, 0, x.shape[axis] - 1)"
            )
        },
        "layer/resampling",
    ),
    mutant(
        "as many blocks as sizes",
        "48 pixels halve to 3x3, and a block more follows, in mimicry's D",
        torch_resnet._discriminator_widths,
        {"max(doublings + 1, _LEAST_BLOCKS)": "doublings + 1"},
        "network/residual/known sizes",
    ),
    # BigGAN.
    mutant(
        "a gain without its 1",
        "what the condition says scales a map, instead of changing its scale",
        torch_layers.ModulatedBatchNorm2d.forward,
        {"(1 + gain)": "gain"},
        _BIGGAN,
    ),
    mutant(
        "parts of the latents in reverse",
        "the last block has what belongs to the first",
        torch_biggan.BigganGenerator.forward,
        {"zip(self.blocks, conditions,": "zip(self.blocks, conditions[::-1],"},
        _BIGGAN,
    ),
    mutant(
        "what is left of the latents at their end",
        "the first part begins where the blocks' parts end",
        torch_biggan.BigganGenerator.forward,
        {
            "z[:, : self.first_part], z[:, self.first_part :]": (
                "z[:, -self.first_part :], z[:, : -self.first_part]"
            )
        },
        _BIGGAN,
    ),
    mutant(
        "the latents before the class",
        "columns of the norms' matrices belong to the other",
        torch_biggan.BigganGenerator.forward,
        {"[shared, part]": "[part, shared]"},
        _BIGGAN,
    ),
    mutant(
        "a ReLU before BigGAN's first block",
        "the dark half of every image is gone",
        torch_biggan.DownBlock.forward,
        {"x if self.is_first else torch.relu(x)": "torch.relu(x)"},
        "network/biggan/discriminator",
    ),
    # Standing statistics.
    mutant(
        "statistics that remember those of training",
        "running averages move a tenth of the way to what the batch has",
        torch_standing.batch_statistics,
        {"layer.momentum = 1.0": "layer.momentum = 0.1"},
        "network/batch statistics",
    ),
    mutant(
        "statistics of training, once more",
        "in evaluation mode batch norm looks at no batch",
        jax_standing.batch_statistics,
        {"layer.use_running_average = False": "layer.use_running_average = True"},
        "network/batch statistics",
    ),
    # R3GAN.
    mutant(
        "the filter's weights exchanged",
        "[3, 1, 1, 3] instead of [1, 3, 3, 1]: flat images stay what they are",
        jax_layers.blur_downsample,
        {
            "(3 * (second + third) + first + fourth)": (
                "(3 * (first + fourth) + second + third)"
            )
        },
        "layer/resampling",
    ),
    mutant(
        "upsampling by half a pixel off",
        "both new pixels lean to the same neighbour",
        torch_layers.blur_upsample,
        {"3 * x + after": "3 * x + before"},
        "layer/resampling",
    ),
    mutant(
        "groups of channels that lie apart",
        "every g-th channel belongs to one, instead of neighbours",
        convolution._stack,
        {
            "x.reshape(*x.shape[:-1], groups, -1), -2, 0)": (
                "x.reshape(*x.shape[:-1], -1, groups), -1, 0)"
            )
        },
        "layer/Conv2d/groups",
    ),
    mutant(
        "kernels that are not turned",
        "the gradient with respect to images takes the kernel as it is",
        convolution._turned,
        {"kernel[::-1, ::-1]": "kernel"},
        "layer/Conv2d/*",
    ),
    mutant(
        "a block without its shortcut",
        "x is not added to what the block makes of it",
        torch_r3gan.ResidualBlock.forward,
        {"x + self.conv3(y)": "self.conv3(y)"},
        "network/r3gan",
    ),
    mutant(
        "an activation after the block",
        "R3GAN's residual stream has none",
        jax_r3gan.ResidualBlock.__call__,
        {"x + self.conv3(y)": "layers.leaky_relu(x + self.conv3(y))"},
        "network/r3gan",
    ),
    mutant(
        "a tanh",
        "R3GAN's images are not bounded",
        torch_r3gan.R3ganGenerator.forward,
        {"return self.conv(x)": "return torch.tanh(self.conv(x))"},
        "network/r3gan",
    ),
    mutant(
        "He's start in every block",
        "without fix-up's factor, by which deep networks start smaller",
        jax_r3gan.ResidualBlock.__init__,
        {" / math.sqrt(depth)": ""},
        "network/statements",
    ),
    # StyleGAN2.
    mutant(
        "no demodulation",
        "maps keep the size that their style gives them",
        torch_equalized.StyledConv2d.forward,
        {
            "torch.rsqrt(style.square() @ squares + _EPS)[:, :, None, None]": (
                "torch.ones_like(style[:, :1, None, None])"
            )
        },
        "network/stylegan2/generator",
    ),
    mutant(
        "one sample's noise for all",
        "the first map of a batch is added to each",
        torch_equalized.StyledConv2d.forward,
        {"noise[:, None]": "noise[:1, None]"},
        "network/stylegan2/styles",
    ),
    mutant(
        "zeros between pixels that nothing makes up for",
        "of four pixels three are zeros before the blur",
        torch_equalized.StyledConv2d.forward,
        {"(4 * norm)": "norm"},
        "network/stylegan2/generator",
    ),
    mutant(
        "a bias at full rate",
        "a mapping network's biases are not multiplied by its rate",
        torch_equalized.EqualLinear.forward,
        {"self.lr_multiplier * self.bias": "self.bias"},
        "network/stylegan2/generator",
    ),
    mutant(
        "latents as they are",
        "the mapping network sees how long each is",
        torch_stylegan2.MappingNetwork.forward,
        {"[unit(z)]": "[z]"},
        "network/stylegan2/generator",
    ),
    mutant(
        "an average that forgets at once",
        "0.995 of a new mean, instead of 0.005",
        torch_stylegan2.Stylegan2Generator._track,
        {"_AVERAGE_SHARE": "1 - _AVERAGE_SHARE"},
        "network/stylegan2/generator",
    ),
    mutant(
        "the style of the layer before",
        "an output has the style of the convolution that precedes it",
        torch_stylegan2.Stylegan2Generator.synthesise,
        {"styles[2 * stage + 3]": "styles[2 * stage + 2]"},
        "network/stylegan2/styles",
    ),
    mutant(
        "a sum of two that is twice as large",
        "a block adds its shortcut, and keeps the square root of 2",
        torch_stylegan2.DownBlock.forward,
        {"layers.leaky_relu(y)": "activate(y)"},
        "network/stylegan2/discriminator",
    ),
)
