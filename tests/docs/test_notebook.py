"""The notebook runs as it stands."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support import PATIENCE

PATH = Path(__file__).parents[2] / "docs" / "first_steps.ipynb"


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook: Any = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    where = {"metadata": {"path": str(tmp_path)}}
    patience = {"timeout": PATIENCE, "startup_timeout": PATIENCE}
    NotebookClient(notebook, resources=where, **patience).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    *_, losses, picture, difference = [cell.outputs for cell in cells if cell.outputs]
    assert len(losses[0].text.splitlines()) == 4
    assert "image/png" in picture[0].data
    shown = difference[0].data["text/plain"]
    assert int(shown.removeprefix("np.int64(").removesuffix(")")) <= 1
    # Whoever opens it sees what they run, not what somebody's machine said.
    stored: Any = nbformat.read(PATH, as_version=4)
    assert all(not cell.get("outputs") for cell in stored.cells)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
