"""Mutants of what moves over a burn-in, of G's own batch and of lazy updates."""

from gans_jax import backend as jax_backend
from gans_jax import optim as jax_optim
from gans_torch import backend as torch_backend
from gans_torch import optim as torch_optim
from gans_torch import paths as torch_paths
from gans_torch import steps as torch_steps
from gans_torch.models import stylegan2 as torch_stylegan2
from parity_tests.mutants.mutation import mutant
from shared.config import schedules
from shared.randomness import draws

MUTANTS = (
    mutant(
        "a burn-in of steps",
        "what moves with the images seen moves with the steps",
        schedules.scheduled,
        {"step * config.images_per_step": "float(step)"},
        "schedule/burn-in",
    ),
    mutant(
        "a burn-in that stands still",
        "a schedule is made once, at the start",
        schedules.scheduled,
        {"step * config.images_per_step": "0.0"},
        "schedule/burn-in",
    ),
    mutant(
        "a linear burn-in",
        "a straight line for half a cosine",
        schedules._burn_in,
        {
            "(1 - math.cos(angle)) / 2": "angle / math.pi",
        },
        "schedule/burn-in",
    ),
    mutant(
        "numbers of a call's first step",
        "the steps of a call share what each should have of its own",
        torch_backend.Backend._scalars,
        {"numbers[t]": "numbers[0]"},
        "variant/several steps in one call",
    ),
    mutant(
        "scheduled numbers as configured",
        "what is drawn for a step does not reach it",
        jax_backend.Backend._scalars,
        {"._replace(**drawn)": "._replace(g_lr=drawn['g_lr'], d_lr=drawn['d_lr'])"},
        "first steps/burn-in",
    ),
    mutant(
        "the penalty's weight as configured",
        "gamma does not fall",
        torch_steps.discriminator_step,
        {"scalars.penalty_weight": "config.penalty_weight"},
        "first steps/burn-in",
    ),
    mutant(
        "the probability as configured",
        "ADA stays as rare as it started",
        torch_steps.train_step,
        {"p = scalars.augment_p": "p = config.augment_p"},
        "first steps/burn-in",
    ),
    mutant(
        "stale beta2",
        "Adam keeps the one that it was made with",
        jax_optim.update,
        {
            "build_optimizer(config, beta2, lazy_factor)": (
                "build_optimizer(config, None, lazy_factor)"
            )
        },
        "optimizer/adam/beta2 that changes",
        "first steps/burn-in",
    ),
    mutant(
        "bias corrected with the first beta2",
        "1 - beta2 ** t is that of the start, the average is not",
        jax_optim._scale_by_adam,
        {"_correction(b2, count, v.dtype)": "_correction(0.9, count, v.dtype)"},
        "optimizer/adam/beta2 that changes",
    ),
    mutant(
        "a half-life of steps",
        "the average forgets as if a step had one image",
        schedules.scheduled,
        {"_share(config.images_per_step, half_life)": "_share(1.0, half_life)"},
        "schedule/half-life",
    ),
    mutant(
        "a half-life of G's images",
        "those that D sees in its other updates are forgotten",
        schedules.scheduled,
        {
            "_share(config.images_per_step, half_life)": (
                "_share(config.batch_size, half_life)"
            )
        },
        "schedule/half-life",
    ),
    mutant(
        "G's update on D's batch",
        "real images, labels and latents are those that D has just seen",
        torch_backend.Backend._train_step,
        {"self._batch(inputs, t, k) for k": "self._batch(inputs, t, min(k, 1)) for k"},
        "first steps/burn-in",
    ),
    mutant(
        "D trained on G's batch",
        "the batch that is G's alone is D's, too",
        torch_steps.train_step,
        {"if not config.g_own_batch:": "if True:"},
        "first steps/burn-in",
    ),
    mutant(
        "D's order for G",
        "the real images of G's update are those of one of D's",
        draws._draw_step,
        {
            'of_all("epoch order", first_batch)': 'of_d("epoch order", first_batch)'
            ' + [("epoch order", step)] * config.g_own_batch'
        },
        "schedule/own batch",
    ),
    mutant(
        "D's latents for G",
        "the latents of G's update are those of one of D's",
        draws._draw_step,
        {
            'of_all("latents")': 'of_d("latents")'
            ' + [("latents", step)] * config.g_own_batch'
        },
        "schedule/own batch",
    ),
    mutant(
        "a lazy penalty of the usual weight",
        "what comes at every k-th step alone is not k times as strong",
        torch_steps.penalty_step,
        {"config.penalty_every * ": ""},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "lazy updates at full rate",
        "k + 1 updates go further than k",
        torch_optim.update,
        {"lr * lazy_factor": "lr"},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "lazy updates that forget sooner",
        "Adam's decay rates are those of k updates",
        torch_optim.update,
        {"beta2**lazy_factor": "beta2"},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "the penalty in each update as well",
        "a lazy penalty is added to the loss, too",
        torch_steps.discriminator_step,
        {"config.penalty_every == 1": "True"},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "path lengths held at those of the step alone",
        "the running mean starts anew",
        torch_steps.path_step,
        {"running.copy_(mean.detach())": "pass"},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "sums over layers",
        "a path's length grows with the number of layers",
        torch_paths.path_penalty,
        {".mean(dim=0)": ".sum(dim=0)"},
        "penalty/path lengths",
    ),
    mutant(
        "a mean that is a constant",
        "no gradient passes through the running mean",
        torch_paths.path_penalty,
        {"(batch_mean(lengths) - mean)": "(batch_mean(lengths.detach()) - mean)"},
        "penalty/path lengths",
    ),
    mutant(
        "styles mixed the other way round",
        "the first layers have the other latents' styles",
        torch_stylegan2.Stylegan2Generator.forward,
        {"other, styles)": "styles, other.expand_as(styles))"},
        "variant/stylegan2/first steps",
    ),
    mutant(
        "the average of styles advances twice",
        "the pass for path lengths counts as one of training",
        torch_steps.path_step,
        {"generator.eval()": "pass"},
        "variant/stylegan2/first steps",
    ),
)
