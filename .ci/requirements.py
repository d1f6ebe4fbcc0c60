"""Print what one twin alone needs: all of pyproject.toml but the other's framework."""

import re
import sys
import tomllib
from pathlib import Path

OTHER = {"torch": {"jax", "flax", "optax"}, "jax": {"torch", "torchvision"}}

left_out = OTHER[sys.argv[1]]
text = Path(__file__).parent.with_name("pyproject.toml").read_text()
project = tomllib.loads(text)["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
    if re.split(r"[^\w-]", requirement)[0] not in left_out:
        sys.stdout.write(requirement + "\n")
