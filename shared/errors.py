"""The one error that a user's mistake raises."""


class UsageError(ValueError):
    """A mistake of the user's: one line naming the argument, its value and the rule.

    The command lines print the message without a traceback and exit with status 2.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, through no mistake in the command.

    The command lines print the message without a traceback and exit with status 1.
    """
