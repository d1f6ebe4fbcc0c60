"""What people mean who write what other programs call a flag or a value."""

import itertools
from collections.abc import Sequence

from shared.config.presets import PRESETS

# Words by what they may have been meant for.
_OPTIONS = {
    "G and D have rates of their own: --g-lr and --d-lr": "lr learning-rate",
    "did you mean --g-lr?": "lr-g glr generator-lr",
    "did you mean --d-lr?": "lr-d dlr discriminator-lr",
    "both of Adam's together: --adam-betas 0.5 0.999": "beta1 b1 beta2 b2 betas beta",
    "did you mean --z-dim?": "nz latent-dim z-size latent-size",
    "did you mean --width, of both networks?": "ngf ndf",
    "did you mean --steps, the updates of G?": "iterations iters niter num-steps",
    "did you mean --epochs?": "n-epochs num-epochs",
    "did you mean --batch-size?": "batch bs batchsize",
    "did you mean --image-size?": "size img-size resolution imagesize",
    "images of your own are --dataset folder:PATH": "data dataroot data-root data-path",
    "did you mean --objective?": "loss gan-mode gan-type criterion",
    "as in --penalty wgan-gp --penalty-weight 10": "gp lambda-gp gradient-penalty",
    "did you mean --d-weight-norm spectral?": "spectral-norm sn spectral",
    "did you mean --n-critic?": "critic-iters n-disc d-steps disc-iters",
    "as in --device cuda, or cpu": "gpu cuda gpus cpu",
    "did you mean --run-dir?": "output outdir out-dir output-dir logdir save-dir outf",
    "did you mean --precision bfloat16?": "fp16 amp bf16 half mixed-precision",
    "no workers are needed; --threads are the CPU's": "workers num-workers",
    "did you mean --resume RUN?": "checkpoint ckpt load continue",
    "did you mean --num?": "n-samples num-samples count n",
    "did you mean --labels, as in --labels 3,7?": "class classes label",
    "did you mean --conditional?": "cond conditioned",
    "did you mean --ema-decay, as in --ema-decay 0.999?": "ema",
}
_NORMS = {
    "that is a norm of weights, as in --d-weight-norm spectral": "spectral sn",
    "did you mean batch?": "bn",
    "did you mean instance?": "in",
    "did you mean layer?": "ln",
}
_WEIGHT_NORMS = {
    "did you mean spectral?": "sn spectral-norm",
    "that is a norm of features, as in --d-norm batch": "batch bn instance layer",
}
# The same for the values of a flag.
_VALUES = {
    "--objective": {
        "the loss is wasserstein; the preset wgan comes first, sets the rest": "wgan",
        "it is wasserstein with --penalty wgan-gp, as in the preset wgan-gp": "wgan-gp",
        "did you mean non-saturating?": "gan vanilla bce ns dcgan original logistic",
        "did you mean minimax?": "saturating",
        "did you mean least-squares?": "lsgan ls mse",
        "did you mean relativistic?": "rgan rsgan",
        "did you mean relativistic-average?": "ragan rasgan",
        "those train with hinge and --d-weight-norm spectral": "sngan sagan biggan",
        "that is --penalty dragan, as in the preset dragan": "dragan",
    },
    "--penalty": {
        "did you mean wgan-gp?": "gp wgangp",
        "did you mean wgan-lp?": "lp",
        "that is --d-weight-norm spectral": "spectral",
    },
    "--optimizer": {"did you mean adam?": "adamw", "did you mean rmsprop?": "rms"},
    "--precision": {
        "did you mean bfloat16?": "fp16 float16 half bf16 mixed",
        "did you mean float32?": "fp32 single 32",
        "did you mean float64?": "fp64 double 64",
    },
    "--channels": {
        "did you mean grey?": "1 gray grayscale l",
        "did you mean colour?": "3 color rgb",
    },
    "--crop": {"did you mean centre?": "center", "did you mean stretch?": "resize"},
    "--g-norm": _NORMS,
    "--d-norm": _NORMS,
    "--g-weight-norm": _WEIGHT_NORMS,
    "--d-weight-norm": _WEIGHT_NORMS,
}


def of_option(option: str, known: Sequence[str]) -> str:
    """``; ...`` with what an unknown flag may have been meant for; else nothing.

    Args:
        option: the flag, with its dashes.
        known: the flags of the command; a hint that names none of them is none.
    """
    hint = _find(option.lstrip("-").lower(), _OPTIONS)
    return hint if any(name in hint for name in known) else ""


def of_value(option: str, value: str) -> str:
    """``; ...`` with what a flag's unknown value may have been meant for; or nothing.

    Args:
        option: the flag, with its dashes.
        value: what is none of its choices.
    """
    return _find(value.lower().replace("_", "-"), _VALUES.get(option, {}))


def of_argument(word: str, args: Sequence[str], prog: str) -> str:
    """``; ...`` with why a word may be left over; or nothing.

    Args:
        word: what nothing takes.
        args: all arguments.
        prog: how the user calls the program.
    """
    # At the beginning of the arguments it follows another preset.
    if word in PRESETS and prog.endswith(" [PRESET]") and word not in args[:1]:
        return f"; the preset comes first: {prog.replace('[PRESET]', word)} ..."
    if "--labels" not in args:
        return ""
    after = args[args.index("--labels") + 1 :]
    values = itertools.takewhile(lambda x: not x.startswith("-"), after)
    return f"; commas join classes, as in --labels {','.join(filter(None, values))}"


def _find(word: str, meant: dict[str, str]) -> str:
    hint = next((hint for hint, words in meant.items() if word in words.split()), "")
    return hint and f"; {hint}"
