"""The wheel holds `shared/` as `gans_shared`, so that no other `shared` meets it.

Everything else is in pyproject.toml. The checkout, and with it an editable install,
keeps `shared/` and ``from shared...``: only what is copied into a wheel is rewritten.
"""

import re
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE, THERE = "shared", "gans_shared"
EDITABLE = "editable_wheel" in sys.argv

_ROOMS = "|".join(sorted(path.stem for path in Path(HERE).glob("[a-z]*")))
# In imports, and where a docstring or a string names a module.
_NAME = re.compile(rf'(?<![\w.]){HERE}(?=\.(?:{_ROOMS})\b| import\b|["\'])')


class BuildPy(build_py):
    """Copies packages into the wheel, under their names there, and without tests."""

    def run(self) -> None:
        """Copy, and rewrite the copies."""
        if EDITABLE:
            super().run()
            return
        assert self.build_lib is not None, "finalize_options has set it"
        # Whatever an earlier build has left here would be packed, too.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for path in Path(self.build_lib).rglob("*.py"):
            path.write_text(_NAME.sub(THERE, path.read_text("utf-8")), "utf-8")

    def find_package_modules(
        self, package: str, package_dir: str
    ) -> list[tuple[str, str, str]]:
        """All modules of a package but its tests."""
        return [
            found
            for found in super().find_package_modules(package, package_dir)
            if not found[1].startswith(("conftest", "test_"))
        ]


packages = find_packages(include=["gans_*", f"{HERE}*", "parity_tests*"])
if not EDITABLE:
    packages = [re.sub(rf"^{HERE}\b", THERE, name) for name in packages]
setup(
    packages=packages,
    package_dir={} if EDITABLE else {THERE: HERE},
    cmdclass={"build_py": BuildPy},
)
