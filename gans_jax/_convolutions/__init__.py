"""Two-dimensional convolutions in NHWC that are fast on CPUs and accelerators alike.

A room of its own: what leaves it are two functions, `conv` and `conv_transpose`, which
compute what `torch.nn.functional.conv2d` and `conv_transpose2d` compute, and for what
is exported a choice of their form. Whoever wants to read about GANs may pass by.

WHY IT IS HERE. On a CPU, XLA's transposed convolution is up to twenty times slower than
PyTorch's, above all in its gradients, of which a GAN is full: G is made of transposed
convolutions, and the gradient of D's convolutions with respect to images is one. XLA's
products of matrices are as fast as PyTorch's. So on a CPU the same sums are written as
matrix products. On a GPU or TPU both functions are XLA's own convolutions, whose
derivatives are declared: XLA's gradient of a transposed convolution's kernel has no
fast form on a GPU, and took half of DCGAN's step there (`xlas.py`).

THE FORMS, and when each is taken (`convolution.py`, while tracing: only the form that
is taken is ever compiled):

    XLA's own    on every accelerator, and in what is exported (`in_xlas_form`); on a
                 CPU, where the padding is as wide as the kernel (`_as_matmul`), or the
                 kernel is no square, or of groups that do not keep the size
    one product  of a kernel that is no square but covers the image; transposed, whose
                 image is a single pixel
    `_same`      on a CPU, for kernels that keep the size: XLA's own, or `Winograd`, or
                 to at most four channels, as images have, `Patches`. Its gradients are
                 declared. With respect to images it is the same convolution, with the
                 kernel turned; with respect to the kernel, a product of shifted images
                 and features (`Shifts`), or `Winograd` of many channels. XLA's
                 gradients take as long alone, but a hundred times as long inside a
                 loop, where training runs. In groups, one after the other
    `Winograd`   nine products instead of sixteen, or sixteen instead of thirty-six:
                 where the stride is half the kernel or a third of it, and the result
                 has even sizes, of 64 channels or more on either side, and not in
                 bfloat16 (`_winograd`, `winograd_pays`)
    `Patches`    one product with all patches of the image: everything else

A kernel that the stride does not divide has zeros at its end on a CPU, as many as that
takes (`_missing`, `_longer`).

The matrices take two to four times the memory of the images; written out for a whole
batch they can cost as much time as the product itself. Made for a few images at a time,
they stay in the processor's cache and cost a tenth to a quarter (`_split`, `_map`).

HOW EACH IS PROVEN. `layer/Conv2d` and `layer/ConvTranspose2d` in parity_tests compare
every form, Winograd's also where it would not pay, with PyTorch's convolution and with
XLA's: values, gradients and second derivatives, in float64 and float32, for sizes that
leave rests, single pixels and batches in parts. `variant/*/as if wide` trains with it,
and mutants of all files of this room die.

WHEN IT CAN GO. When XLA's CPU convolutions, with gradients, take no longer than these:
`python -m benchmarks.train`, with `_is_here` returning False, tells. Then delete all
but `xlas.py`, and let `_nn.py` and `equalized.py` call that as `convolution.py`
does where it does not use a product; what is exported then needs no form of its own.
And that, when a profile of a training on a GPU shows no slow kernel without it.
"""

from gans_jax._convolutions.convolution import conv, conv_transpose, in_xlas_form

__all__ = ["conv", "conv_transpose", "in_xlas_form"]
