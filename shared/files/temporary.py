"""Whether libraries find a folder for what they keep for a moment."""

import os
import tempfile

from shared.config.values import printable
from shared.errors import UsageError


def check_temporary_folder() -> None:
    """Refuse to go on where what follows needs a folder that nobody may write.

    Raises:
        UsageError: there is none.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        told = os.environ.get("TMPDIR", "")
        where = told and f"TMPDIR={printable(told)}: "
        raise UsageError(
            f"{where}no temporary folder can be written; TMPDIR=FOLDER names one"
        ) from error
