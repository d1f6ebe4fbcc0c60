"""Print what one twin's tests need: the dependencies, its extra, and the tools."""

import re
import sys
import tomllib
from pathlib import Path

# They bring PyTorch along.
NOT_ALONE = {"jax": {"torch-fidelity", "torchmetrics"}, "torch": set()}

twin = sys.argv[1]
text = Path(__file__).parent.with_name("pyproject.toml").read_text()
project = tomllib.loads(text)["project"]
extras = project["optional-dependencies"]
left_out = {"gans-twins"} | NOT_ALONE[twin]
for requirement in project["dependencies"] + extras[twin] + extras["dev"]:
    if re.split(r"[^\w-]", requirement)[0] not in left_out:
        sys.stdout.write(requirement + "\n")
