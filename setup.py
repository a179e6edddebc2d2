"""What pyproject.toml cannot say without setuptools' experimental keys: the extensions in C."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # The loops that run once for each packet. One build serves every Python from 3.11 on (limited API).
        Extension(
            f"edgecap.packets.{name}",
            [f"edgecap/packets/{name}.c"],
            depends=["edgecap/packets/_packets.h", "edgecap/packets/_dissect.h"],
            extra_compile_args=["-O3", "-std=gnu11"],
            py_limited_api=True,
        )
        for name in ("_kernel", "_tally", "_text")
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
