"""Parts of the build that pyproject.toml cannot express: C extensions, and `prefect.yaml` in the wheel."""

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py


class BuildWithPrefectYaml(build_py):
    """Puts a copy of `prefect.yaml` into the package `deployments`, where an installation finds it."""

    def run(self) -> None:
        """Build, and copy the file."""
        super().run()
        if not self.editable_mode:
            shutil.copy("prefect.yaml", Path(self.build_lib, "deployments"))


setup(
    cmdclass={"build_py": BuildWithPrefectYaml},
    ext_modules=[
        # The per-packet loops. One build serves every Python from 3.11 on (limited API).
        Extension(
            f"edgecap.packets.native.{name}",
            [f"edgecap/packets/native/{name}.c"],
            depends=["edgecap/packets/native/packets.h", "edgecap/packets/native/dissect.h"],
            extra_compile_args=["-O3", "-std=gnu11"],
            py_limited_api=True,
        )
        for name in ("kernel", "rows", "tally", "text")
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
