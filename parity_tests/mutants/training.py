"""Mutants of the optimisers, the training step, the arithmetic and the checkpoint."""

from gans_jax import _network
from gans_jax import _nn as jax_nn
from gans_jax import arrays as jax_arrays
from gans_jax import backend as jax_backend
from gans_jax import optim as jax_optim
from gans_jax import steps as jax_steps
from gans_torch import _slices as torch_slices
from gans_torch import arrays as torch_arrays
from gans_torch import backend as torch_backend
from gans_torch import optim as torch_optim
from gans_torch import steps as torch_steps
from parity_tests.mutants.mutation import Edit, Mutant, mutant
from shared.files.arrays import ArrayFile

MUTANTS = (
    # Optimisers.
    mutant(
        "default RMSprop of optax",
        "decay 0.9 and the epsilon inside the root",
        jax_optim.build_optimizer,
        {"decay=0.99, eps=1e-8, initial_scale=0.0, eps_in_sqrt=False": ""},
        "optimizer/rmsprop",
    ),
    mutant(
        "RMSprop's epsilon inside the root",
        "PyTorch adds it outside",
        jax_optim.build_optimizer,
        {"eps_in_sqrt=False": "eps_in_sqrt=True"},
        "optimizer/rmsprop",
    ),
    mutant(
        "Adam's epsilon inside the root",
        "PyTorch adds it outside",
        jax_optim._scale_by_adam,
        {"jnp.sqrt(v) + 1e-8": "jnp.sqrt(v + 1e-8)"},
        "optimizer/adam/no momentum",
    ),
    mutant(
        "Adam without bias correction",
        "the averages start at zero, and nothing makes up for it",
        jax_optim._correction,
        {"-jnp.expm1(count.astype(dtype) * log)": "jnp.ones((), dtype)"},
        "optimizer/adam/no momentum",
    ),
    mutant(
        "optax's bias correction",
        "1 - 0.999 ** t in float32 has lost four digits",
        jax_optim._correction,
        {"-jnp.expm1(count.astype(dtype) * log)": "1 - decay ** count.astype(dtype)"},
        "optimizer/adam/first steps",
    ),
    mutant(
        "default betas of Adam",
        "0.9 and 0.999, where GANs have 0.5 or 0",
        torch_optim.update,
        {"(beta1**lazy_factor, beta2**lazy_factor)": "(0.9, 0.999)"},
        "optimizer/adam/no momentum",
    ),
    mutant(
        "optax's clipping",
        "PyTorch divides by the norm + 1e-6, optax by the norm",
        jax_optim._clip,
        {"(norm + 1e-6)": "norm"},
        "optimizer/clipping by global norm",
    ),
    mutant(
        "clipping of each tensor",
        "the norm of each parameter's gradient, not of all",
        torch_optim.update,
        {
            "nn.utils.clip_grads_with_norm_(parameters, config.clip_grad_norm, norm)": (
                "[nn.utils.clip_grad_norm_(p, config.clip_grad_norm)"
                " for p in parameters]"
            )
        },
        "optimizer/clipping by global norm",
    ),
    mutant(
        "memory layouts mixed",
        "gradients of autograd.grad, which a fused Adam reads in the parameters' order",
        torch_slices.set_gradients,
        {
            "share.backward(inputs=parameters)": (
                "gradients = torch.autograd.grad(share, parameters)\n"
                "            for parameter, gradient in zip(parameters, gradients):\n"
                "                parameter.grad = gradient"
            )
        },
        "optimizer/adam/memory layout",
    ),
    mutant(
        "no gradient where JAX has zeros",
        "what a loss does not touch is left out: its averages stand still",
        torch_optim.update,
        {"if parameter.grad is None:": "if False:"},
        "optimizer/adam",
    ),
    # The training step.
    mutant(
        "weights cast once a step",
        "autocast keeps what it has cast: the critic's later updates see old weights",
        torch_backend.Backend._precision,
        {", cache_enabled=False": ""},
        "variant/wgan-gp/bfloat16",
    ),
    mutant(
        "biases rounded before they are added",
        "their gradient is then a sum in bfloat16 over the pixels of a batch",
        jax_nn._add_bias,
        {
            "(y + _channels(bias[...])).astype(y.dtype)": (
                "y + _channels(bias[...]).astype(y.dtype)"
            )
        },
        "variant/r2/bfloat16",
    ),
    Mutant(
        "weights rounded before they are scaled",
        "what becomes of a weight on its way to a product is computed in bfloat16",
        tuple(
            Edit(function, {"self.params, ": "self._cast(self.params), "})
            for function in (_network.Network.__call__, _network.Network.module)
        ),
        ("variant/stylegan2-256/bfloat16",),
    ),
    mutant(
        "points taken for bytes",
        "what lies in [-1, 1] is scaled as if it were of 0 to 255",
        torch_backend.Backend._batch,
        {"if images.dtype == torch.uint8:": "if True:"},
        "variant/ring",
    ),
    Mutant(
        "missing detach",
        "D's loss reaches G's weights, and G's update takes it along",
        (
            Edit(torch_steps.train_step, {"fake.detach()": "fake"}),
            Edit(
                torch_slices.set_gradients,
                {
                    "parameter.grad = None": "pass",
                    "share.backward(inputs=parameters)": (
                        "share.backward(retain_graph=True)"
                    ),
                },
            ),
            Edit(
                torch_optim.update,
                {"optimizer.step()": "optimizer.step()\n    optimizer.zero_grad()"},
            ),
        ),
        ("first steps/averages",),
    ),
    mutant(
        "gradients pile up",
        "zero_grad is forgotten: each update takes the sum of all gradients so far",
        torch_slices.set_gradients,
        {"parameter.grad = None": "pass"},
        "first steps/averages",
    ),
    mutant(
        "real and generated images in one batch",
        "batch norm's statistics are taken over both together",
        torch_steps.discriminator_step,
        {
            "real_outputs = discriminate(discriminator, seen_real, part.labels)": (
                "both = discriminate("
                "discriminator, torch.cat([real, part_fake]), None)\n"
                "            real_outputs = both._replace("
                "logits=both.logits[: len(real)])"
            ),
            "fake_outputs = discriminate(discriminator, seen_fake, part.labels)": (
                "fake_outputs = both._replace(logits=both.logits[len(real) :])"
            ),
        },
        "first steps/batch norm",
    ),
    mutant(
        "one real batch for all of D's updates",
        "the critic is trained five times on the same images",
        torch_backend.Backend._batch,
        {"draws.indices[t, k]": "draws.indices[t, 0]"},
        "first steps/critic",
    ),
    mutant(
        "G's learning rate for both",
        "separate learning rates are ignored",
        torch_steps._update_d,
        {"scalars.d_lr": "scalars.g_lr"},
        "first steps/averages",
    ),
    mutant(
        "schedule one step late",
        "the learning rate of the step before",
        torch_backend.Backend._scalars,
        {"numbers[t]": "numbers[t - 1]"},
        "variant/several steps in one call",
    ),
    mutant(
        "D is updated at every step",
        "--d-every is ignored",
        torch_backend.Backend._phases,
        {"bool(draws.update_d[t])": "True"},
        "first steps/remedies",
    ),
    mutant(
        "weights clipped from above only",
        "the critic's weights are kept below c, not above -c",
        torch_steps._update_d,
        {"-config.weight_clip, config.weight_clip": "max=config.weight_clip"},
        "optimizer/weight clipping",
    ),
    mutant(
        "instance noise shared by real and fake",
        "the difference of the two images, which D looks at, has no noise",
        jax_steps._add_noise,
        {"fake + noise[1]": "fake + noise[0]"},
        "first steps/remedies",
    ),
    mutant(
        "D's instance noise in G's update",
        "G's images meet the noise that D has just seen",
        torch_backend.Backend._train_step,
        {"noise[t, n_critic]": "noise[t, 0]"},
        "first steps/remedies",
    ),
    # The average of G, and samples.
    mutant(
        "decay of the average in the other sense",
        "the weight of the old value is given to the new one",
        jax_steps._update_ema,
        {"share *": "(1 - share) *"},
        "optimizer/ema",
    ),
    mutant(
        "buffers left out of the average",
        "G's average keeps the running statistics of the beginning",
        torch_steps._update_ema,
        {"copy.copy_(buffer)": "pass"},
        "optimizer/ema",
    ),
    mutant(
        "samples of G, not of its average",
        "the average is kept, but never used",
        jax_backend._drawing_of,
        {"state.generator if average is None else average": "state.generator"},
        "first steps/averages",
    ),
    mutant(
        "sampling in training mode in PyTorch",
        "eval() is forgotten: samples depend on their batch, and change the statistics",
        torch_backend.Backend.sample,
        {"generator.eval()": "pass"},
        "first steps/averages",
    ),
    mutant(
        "sampling in training mode in JAX",
        "samples depend on their batch",
        vars(jax_backend.Backend)["_evaluate"].func,
        {"network.evaluate(x, labels)": "network(x, labels)[0]"},
        "first steps/averages",
    ),
    # Arithmetic.
    mutant(
        "float32 in a float64 run",
        "JAX's 64 bits are left off: what should be float64 is float32 without a word",
        jax_backend.Backend._settings,
        {'self.config.precision == "float64"': "False"},
        "first steps/averages",
    ),
    mutant(
        "TF32 in a float32 run",
        "operands are rounded to 10 bits, as GPUs do unless told not to",
        _network.Network._cast,
        {
            "return inputs": (
                "return jax.tree.map(lambda x: jax.lax.reduce_precision(x, 8, 10)"
                " if x.dtype == jnp.float32 else x, inputs)"
            )
        },
        "layer/reparametrise/none",
    ),
    mutant(
        "bfloat16 in a float32 run",
        "autocast is left on",
        torch_backend.Backend._precision,
        {'if self.config.precision == "bfloat16":': "if True:"},
        "first steps/float32",
    ),
    # Checkpoints.
    mutant(
        "optimiser's step lost in PyTorch",
        "a resumed Adam corrects its bias as if it were new",
        torch_arrays.arrays_to_state,
        {'float(arrays.get(f"{name}.step", 0))': "0.0"},
        "hop/ema",
    ),
    mutant(
        "optimiser's step lost in JAX",
        "a resumed Adam corrects its bias as if it were new",
        jax_arrays.arrays_to_state,
        {'arrays.get(f"{name}.step", 0)': "0"},
        "hop/ema",
    ),
    mutant(
        "average restarted",
        "on resume G's average begins anew at G",
        jax_arrays.arrays_to_state,
        {'prefix = "generator_ema" if averaged': 'prefix = "generator" if averaged'},
        "hop/ema",
    ),
    mutant(
        "buffers not restored",
        "running statistics stay as they are",
        jax_arrays.arrays_to_network,
        {
            "_restore(network.buffers, found, arrays)": (
                "jax.tree.map(jnp.copy, network.buffers)"
            )
        },
        "hop/ema",
    ),
    Mutant(
        "strided arrays in a checkpoint",
        "safetensors saves garbage for them (huggingface/safetensors#825)",
        (
            Edit(
                jax_arrays._to_numpy,
                {"np.ascontiguousarray(array) if array.ndim else array": "array"},
            ),
            Edit(ArrayFile.write, {'np.asarray(x, order="C")': "x"}),
        ),
        ("hop/ema",),
    ),
)
