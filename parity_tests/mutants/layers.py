"""Mutants of the layers and of how their arrays are translated."""

from gans_jax import _network
from gans_jax import _nn as jax_nn
from gans_jax import arrays as jax_arrays
from gans_jax import distribution as jax_distribution
from gans_jax import layers as jax_layers
from gans_jax._convolutions import convolution, patches, shifts, winograd, xlas
from gans_jax.models import mlp as jax_mlp
from gans_torch import layers as torch_layers
from gans_torch.models import head as torch_head
from parity_tests.mutants.mutation import Edit, Mutant, mutant

_MOMENTUM = "self.momentum = momentum"
_EPS = "self.eps = eps"

MUTANTS = (
    # Convolutions.
    mutant(
        "flipped kernel",
        "a transposed convolution whose kernel is turned by 180 degrees",
        convolution.conv_transpose,
        {"height, width), x, kernel)": "height, width), x, kernel[::-1, ::-1])"},
        "layer/square convolutions",
    ),
    mutant(
        "padding on one side",
        "a transposed convolution cut at the wrong sides: the shape is right",
        patches.Patches.to_images,
        {"(-low, -high, 0) for": "(0, -low - high, 0) for"},
        "layer/square convolutions",
    ),
    mutant(
        "a tile's second neighbour",
        "Winograd's products, put together for the wrong one of two neighbours",
        winograd._sums_transposed,
        {"a + b, b + c": "b + c, a + b"},
        "layer/Conv2d/*",
    ),
    mutant(
        "a tile's difference",
        "Winograd's difference, whose sign is wrong in the gradient of images only",
        winograd._differences_transposed,
        {"b - a - c": "b - a + c"},
        "layer/Conv2d/*",
    ),
    mutant(
        "a tile's second neighbour, of three taps",
        "Winograd's last product with the wrong sign, where the kernel has three taps",
        winograd._to_features,
        {"q - r - s": "q - r + s"},
        "layer/Conv2d/3x3*",
    ),
    mutant(
        "a kernel's middle tap",
        "the gradient of Winograd's kernel takes the middle tap for its negative",
        winograd._to_kernel,
        {"(q - r) / 2": "(r - q) / 2"},
        "layer/Conv2d/3x3*",
    ),
    mutant(
        "three taps on images",
        "the gradient of images, where the kernel has three taps, swaps two products",
        winograd._to_images,
        {"q - r + s, q + r - p": "r - q + s, q + r - p"},
        "layer/Conv2d/3x3*",
    ),
    mutant(
        "features shifted as images",
        "what features make of the shifts goes in the images' direction",
        shifts.Shifts.of_features,
        {"reversed(range(self.size))": "range(self.size)"},
        "layer/Conv2d/*",
    ),
    Mutant(
        "padding 'SAME'",
        "Flax's default, which differs from PyTorch's 1 on odd sizes",
        (
            Edit(
                convolution.conv,
                {"if groups > 1 or not _as_matmul(size, padding):": "if True:"},
            ),
            Edit(xlas._convolve, {"[(form.padding, form.padding)] * 2": "'SAME'"}),
        ),
        ("layer/square convolutions",),
    ),
    mutant(
        "the batch's last part forgotten",
        "a batch computed in parts, whose end is off by one in the kernel's gradient",
        convolution._kernel_gradient,
        {"1, len(xs), add_part": "1, len(xs) - 1, add_part"},
        "layer/Conv2d/in parts",
    ),
    Mutant(
        "square kernels transposed",
        "in and out channels are exchanged: where they are as many, shapes agree",
        (
            Edit(
                jax_arrays._to_jax,
                {"kind.to_jax": "(kind.to_jax[:2] + kind.to_jax[:1:-1])"},
            ),
            Edit(
                jax_arrays._to_numpy,
                {"kind.to_file": "(kind.to_file[1::-1] + kind.to_file[2:])"},
            ),
        ),
        ("layer/square convolutions",),
    ),
    mutant(
        "bias before a norm",
        "its gradient is rounding noise, of which Adam makes full steps",
        jax_layers.needs_bias,
        {"return norm not in": "return True or norm not in"},
        "first steps/averages",
    ),
    mutant(
        "leaky_relu of jax.nn",
        "its slope at zero is 1, PyTorch's is the leak",
        jax_layers.leaky_relu,
        {"jnp.where(x > 0, x, 0.2 * x)": "jax.nn.leaky_relu(x, 0.2)"},
        "layer/leaky_relu",
    ),
    mutant(
        "default leak",
        "PyTorch's default slope is 0.01",
        torch_layers.leaky_relu,
        {", negative_slope=0.2": ""},
        "layer/leaky_relu",
    ),
    # Normalisations.
    mutant(
        "momentum in Flax's sense",
        "the weight of the old value is given where that of the new one is asked for",
        jax_layers.BatchNorm2d.__init__,
        {_MOMENTUM: "self.momentum = 1 - momentum"},
        "layer/BatchNorm2d/running statistics",
    ),
    mutant(
        "default momentum of nnx",
        "0.99 of the old value, where PyTorch keeps 0.9",
        jax_layers.BatchNorm2d.__init__,
        {_MOMENTUM: "self.momentum = 0.01"},
        "layer/BatchNorm2d/running statistics",
    ),
    mutant(
        "biased running variance",
        "nnx stores the variance that normalises, PyTorch that times n / (n - 1)",
        jax_layers.BatchNorm2d._track,
        {"variance * (count / (count - 1))": "variance"},
        "layer/BatchNorm2d/running statistics",
    ),
    mutant(
        "one-pass variance",
        "E[x^2] - E[x]^2, nnx's default, cancels at a large mean",
        jax_distribution.moments,
        {
            "jnp.square(x - mean).mean(axis=axes, keepdims=True)": (
                "jnp.square(x).mean(axis=axes, keepdims=True) - jnp.square(mean)"
            )
        },
        "layer/BatchNorm2d/large mean",
    ),
    mutant(
        "statistics in float32",
        "nnx computes them so, whatever the parameters' type",
        jax_nn.widen,
        {"if x.dtype == jnp.bfloat16": "if x.dtype != jnp.float32"},
        "layer/ConditionalBatchNorm2d",
    ),
    mutant(
        "unbiased variance normalises",
        "the running statistic's variance is used for the batch too",
        jax_layers.BatchNorm2d.__call__,
        {
            "_channels(variance)": "_channels(variance * x[..., 0].size"
            " / (x[..., 0].size - 1))"
        },
        "layer/ConditionalBatchNorm2d",
    ),
    mutant(
        "batch statistics in evaluation",
        "the running statistics are never used",
        jax_layers.BatchNorm2d.__call__,
        {
            "if self.use_running_average:": "if False:",
            "self._track(": "self.use_running_average or self._track(",
        },
        "layer/ConditionalBatchNorm2d",
    ),
    mutant(
        "default epsilon of nnx in instance norm",
        "1e-6, where PyTorch has 1e-5",
        jax_layers.InstanceNorm2d.__init__,
        {_EPS: "self.eps = 1e-6"},
        "layer/InstanceNorm2d/large mean",
    ),
    mutant(
        "default epsilon of nnx in group norm",
        "1e-6, where PyTorch has 1e-5",
        jax_layers.GroupNorm.__init__,
        {_EPS: "self.eps = 1e-6"},
        "layer/GroupNorm/large mean",
    ),
    mutant(
        "interleaved groups",
        "group norm over every g-th channel instead of neighbours",
        jax_layers.GroupNorm.__call__,
        {
            "self.num_groups, -1)": "-1, self.num_groups).swapaxes(3, 4)",
            "self.eps).reshape(x.shape)": "self.eps).swapaxes(3, 4).reshape(x.shape)",
        },
        "layer/GroupNorm",
    ),
    mutant(
        "one class for all",
        "conditional batch norm takes each gain from the first sample's row",
        torch_layers.ConditionalBatchNorm2d.forward,
        {"self.gain_embedding(labels)": "self.gain_embedding(labels[:1])"},
        "layer/ConditionalBatchNorm2d",
    ),
    # Constraints on weights.
    Mutant(
        "spectral norm overwrites its weight",
        "as nnx.SpectralNorm does at every call (google/flax#5576)",
        (
            Edit(
                jax_nn._constrained,
                {
                    "return weight if layer.constraint is None else"
                    " layer.constraint(weight)": (
                        "if layer.constraint is not None:\n"
                        "        layer.weight[...] = layer.constraint(weight)\n"
                        "    return layer.weight[...]"
                    )
                },
            ),
            Edit(
                _network.Network.__call__,
                {
                    "buffers = nnx.split(module, nnx.Param, ...)[2]": (
                        "_, params, buffers = nnx.split(module, nnx.Param, ...)"
                    ),
                    "self.params, buffers)": (
                        "jax.tree.map(lambda x: x, self.params), buffers)"
                    ),
                    "replace(self, ": "replace(self, params=params, ",
                },
            ),
        ),
        ("layer/reparametrise/stock",),
    ),
    mutant(
        "half an iteration off",
        "v is computed before u, as nnx.SpectralNorm does",
        jax_layers.SpectralNorm.__call__,
        {
            "u = _unit(constant @ v)": "v = _unit(constant.T @ u)  # first",
            "v = _unit(constant.T @ u)\n": "u = _unit(constant @ v)\n",
        },
        "layer/reparametrise/stock",
    ),
    mutant(
        "power iteration is differentiated",
        "u and v are constants in PyTorch's backward pass",
        jax_layers.SpectralNorm.__call__,
        {"jax.lax.stop_gradient(matrix)": "matrix"},
        "layer/reparametrise/stock",
    ),
    mutant(
        "sigma is a constant",
        "the gradient through the norm is dropped",
        jax_layers.SpectralNorm.__call__,
        {"jnp.dot(u, matrix @ v)": "jax.lax.stop_gradient(jnp.dot(u, matrix @ v))"},
        "layer/reparametrise/stock",
    ),
    mutant(
        "power iteration in evaluation",
        "u and v move where nothing is trained",
        jax_layers.SpectralNorm.__call__,
        {
            "if not self.use_running_average:": "if True:",
            "self._u[...], self._v[...] = u, v": (
                "if not self.use_running_average:\n"
                "                self._u[...], self._v[...] = u, v"
            ),
        },
        "first steps/spectral norm",
    ),
    mutant(
        "wrong axis of a transposed convolution in JAX",
        "input channels are taken for output channels",
        jax_layers.SpectralNorm.__init__,
        {'kind.jax_axes.index("out")': "-1"},
        "layer/reparametrise/stock",
    ),
    mutant(
        "wrong axis of a transposed convolution in PyTorch",
        "weight_norm's default axis is 0, where these have their input channels",
        torch_layers.reparametrise,
        {'layer.kind.axes.index("out")': "0"},
        "layer/reparametrise/weight",
    ),
    mutant(
        "fixed lengths in weight norm",
        "nnx.WeightNorm's scales never train (google/flax#5577)",
        jax_layers.WeightNorm.__call__,
        {"self.length[...]": "jax.lax.stop_gradient(self.length[...])"},
        "layer/reparametrise/stock",
    ),
    # Statistics of the batch as features.
    mutant(
        "features flattened as height, width, channels",
        "the rows of T belong to channels, height, width",
        jax_layers.MinibatchDiscrimination.__call__,
        {"x.transpose(0, 3, 1, 2).reshape": "x.reshape"},
        "layer/MinibatchDiscrimination",
    ),
    mutant(
        "without the sample itself",
        "minibatch discrimination sums over the others only",
        torch_layers.MinibatchDiscrimination.forward,
        {".sum(dim=1)": ".sum(dim=1) - 1"},
        "layer/MinibatchDiscrimination",
    ),
    mutant(
        "slope of |x| at zero",
        "1 in jnp.abs, 0 in PyTorch, where two samples are equal",
        jax_layers.MinibatchDiscrimination.__call__,
        {
            "(difference * jax.lax.stop_gradient(jnp.sign(difference)))": (
                "jnp.abs(difference)"
            )
        },
        "layer/MinibatchDiscrimination",
    ),
    mutant(
        "unbiased deviation of the batch",
        "torch.var divides by n - 1",
        torch_layers.MinibatchStd.forward,
        {
            "torch.square(groups - groups.mean(dim=0)).mean(dim=0)": (
                "groups.var(dim=0)"
            )
        },
        "layer/MinibatchStd",
    ),
    mutant(
        "neighbouring samples in a group",
        "groups are strided, not contiguous",
        torch_layers.MinibatchStd.forward,
        {
            "every.reshape(size, batch // size, -1)": (
                "every.reshape(batch // size, size, -1).swapaxes(0, 1)"
            ),
            ".repeat(size)": ".repeat_interleave(size)",
        },
        "layer/MinibatchStd",
    ),
    # Networks.
    Mutant(
        "layouts by rank",
        "whatever has four axes is a kernel, and all else has one layout",
        (
            Edit(
                jax_arrays._to_jax,
                {
                    "value.transpose(kind.to_jax)": (
                        "(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)"
                    )
                },
            ),
            Edit(
                jax_arrays._to_numpy,
                {
                    "np.array(value).transpose(kind.to_file)": (
                        "np.array(value).transpose((3, 2, 0, 1) if value.ndim == 4"
                        " else range(value.ndim))"
                    )
                },
            ),
        ),
        ("network/of a user",),
    ),
    mutant(
        "a start that one twin forgot",
        "a perceptron's weights with DCGAN's deviation, which leaves it almost mute",
        jax_mlp.HiddenLayer.__init__,
        {"conv.starting(HE)": "conv"},
        "network/statements",
    ),
    mutant(
        "a column of logits",
        "D's output keeps its last axis: [batch, 1]",
        torch_head.Head.forward,
        {"self.conv(x).flatten()": "self.conv(x).flatten(1)"},
        "first steps/critic",
    ),
)
