"""Mutants of the losses and penalties."""

from gans_jax import losses as jax_losses
from gans_jax import penalties as jax_penalties
from gans_jax import steps as jax_steps
from gans_jax import terms as jax_terms
from gans_torch import distribution as torch_distribution
from gans_torch import losses as torch_losses
from gans_torch import penalties as torch_penalties
from gans_torch import steps as torch_steps
from gans_torch import terms as torch_terms
from parity_tests.mutants.mutation import mutant

MUTANTS = (
    # Losses.
    mutant(
        "softplus that is the identity above 20",
        "F.softplus as it is: 1.9e-9 off where it changes over",
        torch_losses.softplus,
        {"-F.logsigmoid(-x)": "F.softplus(x)"},
        "loss/softplus",
    ),
    mutant(
        "log of sigmoid + 1e-8",
        "a probability is taken first, and an epsilon saves the logarithm",
        jax_losses.softplus,
        {"jax.nn.softplus(x)": "-jnp.log(jax.nn.sigmoid(-x) + 1e-8)"},
        "loss/softplus",
        "loss/non-saturating/generator",
    ),
    mutant(
        "sum over the batch",
        "the loss, and with it every gradient, grows with the batch",
        torch_losses.batch_mean,
        {"x.mean(dim=0)": "x.sum(dim=0)"},
        "loss/batch-mean",
    ),
    mutant(
        "halved logistic loss",
        "the mean of the real and the fake term instead of their sum",
        jax_losses.non_saturating_discriminator_loss,
        {"return real + ": "return 0.5 * real + 0.5 * "},
        "loss/non-saturating/discriminator",
    ),
    mutant(
        "halved relativistic average loss",
        "public code takes the mean of the two terms, the paper their sum",
        torch_losses.relativistic_average_discriminator_loss,
        {"batch_mean(softplus(-real)) +": "0.5 * batch_mean(softplus(-real)) + 0.5 *"},
        "loss/relativistic-average/*",
    ),
    mutant(
        "saturating generator",
        "the generator minimises log(1 - D) where it should maximise log D",
        torch_losses.non_saturating_generator_loss,
        {"softplus(-fake_logits)": "-softplus(fake_logits)"},
        "loss/non-saturating/generator",
    ),
    mutant(
        "hinge by maximum",
        "at the kink torch.maximum has the gradient 1/2, relu has 0",
        torch_losses.hinge_discriminator_loss,
        {
            "torch.relu(1 - real_logits)": (
                "torch.maximum(1 - real_logits, torch.zeros_like(real_logits))"
            )
        },
        "loss/hinge/discriminator",
    ),
    mutant(
        "hinge by clip",
        "at the kink jnp.clip has the gradient 1/2, relu has 0",
        jax_losses.hinge_discriminator_loss,
        {"jax.nn.relu(1 + fake_logits)": "jnp.clip(1 + fake_logits, min=0)"},
        "loss/hinge/discriminator",
    ),
    mutant(
        "one column of logits",
        "[batch, 1] - [batch] is [batch, batch]: every pair instead of each",
        jax_losses.relativistic_discriminator_loss,
        {"fake_logits - real": "fake_logits[:, None] - real"},
        "loss/relativistic/discriminator",
    ),
    mutant(
        "average of the wrong side",
        "the relativistic average generator loss without exchanged roles",
        jax_losses.relativistic_average_generator_loss,
        {"(fake_logits, real_logits)": "(real_logits, fake_logits)"},
        "loss/relativistic-average/generator",
    ),
    mutant(
        "least squares without its half",
        "nn.MSELoss as it is",
        torch_losses.least_squares_generator_loss,
        {"0.5 * batch_mean": "batch_mean"},
        "loss/least-squares/generator",
    ),
    mutant(
        "mean of features",
        "the gap's mean square instead of its squared length",
        jax_losses.feature_matching_loss,
        {"(gap).sum()": "(gap).mean()"},
        "loss/feature-matching",
    ),
    mutant(
        "softmax twice",
        "probabilities are handed to a loss that expects logits",
        jax_losses.class_cross_entropy,
        {"log_softmax(class_logits)": "log_softmax(jax.nn.softmax(class_logits))"},
        "loss/class-cross-entropy",
    ),
    mutant(
        "two-sided label smoothing",
        "the fake target is smoothed too",
        torch_terms._targets,
        {
            "fake.to(dtype)": "fake.to(dtype)"
            " + config.label_smoothing * (~fake).to(dtype)"
        },
        "first steps/remedies",
    ),
    mutant(
        "the same flips for both",
        "real and generated labels are swapped by one draw",
        jax_terms._targets,
        {"real, fake = flips": "real = fake = flips[0]"},
        "first steps/remedies",
    ),
    # Penalties.
    mutant(
        "bare root in PyTorch",
        "the root of a sum of squares has a NaN gradient at zero",
        torch_penalties.gradient_norm,
        {
            "torch.linalg.vector_norm(gradient, dim=1)": "torch.square("
            "gradient).sum(dim=1).sqrt()"
        },
        "penalty/wgan-gp/closed form",
    ),
    mutant(
        "bare norm in JAX",
        "jnp.linalg.norm has a NaN gradient at zero, PyTorch's has 0",
        jax_penalties.gradient_norm,
        {
            "optax.safe_norm(gradient, min_norm=0.0, axis=1)": "jnp.linalg.norm("
            "gradient, axis=1)"
        },
        "penalty/wgan-gp/closed form",
    ),
    mutant(
        "epsilon under the root",
        "the usual guard against the NaN shifts every norm",
        torch_penalties.gradient_norm,
        {
            "torch.linalg.vector_norm(gradient, dim=1)": "(torch.square("
            "gradient).sum(dim=1) + 1e-12).sqrt()"
        },
        "penalty/wgan-gp/closed form",
    ),
    mutant(
        "epsilon inside the norm",
        "(g + 1e-16).norm() invents a slope where there is none",
        jax_penalties.gradient_norm,
        {"(gradient, min_norm": "(gradient + 1e-16, min_norm"},
        "penalty/wgan-gp/closed form",
    ),
    mutant(
        "one norm for the whole batch",
        "gradients of all samples are flattened together",
        torch_penalties.gradient_norm,
        {
            "torch.linalg.vector_norm(gradient, dim=1)": "torch.linalg."
            "vector_norm(gradient).expand(len(gradient))"
        },
        "penalty/wgan-gp/per sample",
    ),
    mutant(
        "a norm for each pixel",
        "the norm runs over channels only",
        jax_penalties.input_gradient,
        {"reshape(len(gradient), -1)": "reshape(-1, gradient.shape[-1])"},
        "penalty/wgan-gp/linear critic by hand",
    ),
    mutant(
        "one alpha for the whole batch",
        "all pairs are mixed at the same place",
        jax_penalties._mix,
        {"alpha[:, None, None, None]": "alpha[0]"},
        "penalty/wgan-gp/per sample",
    ),
    mutant(
        "alpha weighs the fake",
        "the mix starts from the other end",
        torch_penalties._mix,
        {"share * real + (1 - share) * fake": "share * fake + (1 - share) * real"},
        "penalty/wgan-gp/closed form",
    ),
    mutant(
        "unbiased spread in DRAGAN",
        "torch.std divides by n - 1, jnp.std by n",
        torch_distribution.deviation,
        {"correction=0": "correction=1"},
        "penalty/dragan/closed form",
    ),
    mutant(
        "two-sided WGAN-LP",
        "slopes below 1 are punished too",
        jax_penalties.wgan_lp_penalty,
        {"jax.nn.relu(norm - 1)": "norm - 1"},
        "penalty/wgan-lp/linear critic by hand",
    ),
    mutant(
        "mean of R1 and R2",
        "one weight is shared out between both, where each should have it",
        jax_penalties.squared_slopes,
        {"stack(squares).sum()": "stack(squares).mean()"},
        "penalty/r1-r2/closed form",
    ),
    mutant(
        "unweighted penalty",
        "--penalty-weight is ignored",
        torch_terms.discriminator_terms,
        {"penalty_weight * penalty.penalty": "penalty.penalty"},
        "first steps/critic",
    ),
    mutant(
        "inputs of a penalty in the order of its table",
        "a penalty of one's own may name them in any order",
        torch_penalties.apply_penalty,
        {"(discriminator, **inputs)": "(discriminator, real, fake, alpha)"},
        "first steps/registered",
    ),
    mutant(
        "mean square in R1",
        "the squared length is averaged over pixels",
        jax_penalties.squared_slopes,
        {".sum(axis=1)": ".mean(axis=1)"},
        "penalty/r1/linear critic by hand",
    ),
    mutant(
        "first-order penalty in JAX",
        "the gradient is a constant: the penalty moves no weight",
        jax_penalties.input_gradient,
        {"return gradient.reshape": "return jax.lax.stop_gradient(gradient).reshape"},
        "penalty/wgan-gp/linear critic by hand",
    ),
    mutant(
        "first-order penalty in PyTorch",
        "create_graph is forgotten",
        torch_penalties.input_gradient,
        {"create_graph=True": ""},
        "first steps/critic",
    ),
    mutant(
        "penalty of another class",
        "the penalty's pass drops the labels",
        torch_steps._penalty,
        {"batch.labels).logits": "torch.zeros_like(batch.labels)).logits"},
        "first steps/critic",
    ),
    mutant(
        "first-order penalty in one look",
        "the gradient is a constant: the penalty moves no weight",
        jax_penalties.gradient_and_outputs,
        {"gradient.reshape": "jax.lax.stop_gradient(gradient).reshape"},
        "first steps/one look",
    ),
    mutant(
        "one look at unlabelled images",
        "loss and penalty together drop the labels",
        jax_steps._look_once,
        {"images, labels)": "images, 0 * labels)"},
        "first steps/one look",
    ),
    mutant(
        "slopes of real images alone",
        "R2 is left out where the loss's own looks serve the penalty",
        torch_steps._look_once,
        {"in traits.PENALTIES[config.penalty].inputs": "== 'real'"},
        "penalty/one look/r1-r2",
    ),
    mutant(
        "scores without a graph",
        "the loss has no gradient where its look serves the penalty",
        torch_steps._look_once,
        {"both[0], both[1]": "*[Outputs(*[y.detach() for y in x]) for x in both]"},
        "first steps/one look",
    ),
    mutant(
        "penalty in training mode",
        "the penalty's pass advances spectral norm's power iteration",
        torch_steps._penalty,
        {"discriminator.eval()": "pass"},
        "first steps/spectral norm",
    ),
)
