"""What pyproject.toml cannot say without setuptools' experimental keys: the extension in C."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # The loops that run once for each packet. One build serves every Python from 3.11 on (limited API).
        Extension(
            "edgecap.packets._kernel",
            ["edgecap/packets/_kernel.c"],
            extra_compile_args=["-O3", "-std=gnu11"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
