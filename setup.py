"""Maps the top-level rooms into hasn's namespace; find_packages keeps the wheel whole when rooms grow.

The C kernels are optional: where they cannot be built, hasn installs without them and computes on torch.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOMS = {"hasn.backends": "backends", "hasn.models": "models", "hasn.conversions": "conversions"}
packages = find_packages(include=["hasn", "hasn.*"], exclude=[f"{room}*" for room in ROOMS])
for room, folder in ROOMS.items():
    packages += [room, *(f"{room}.{sub}" for sub in find_packages(folder))]


class BuildKernels(build_ext):
    """Optimise, but never contract a*b + c: it would change spikes. OpenMP where the compiler and linker have it."""

    def build_extension(self, extension: Extension) -> None:
        """Add the flags of the compiler at hand."""
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args += ["/O2", "/fp:precise", "/openmp"]
        else:
            extension.extra_compile_args += ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
            if self._links("-fopenmp"):
                extension.extra_compile_args.append("-fopenmp")
                extension.extra_link_args.append("-fopenmp")
        super().build_extension(extension)

    def _links(self, flag: str) -> bool:
        """Whether a program of one line compiles and links with ``flag``."""
        with TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint probe(void) { return omp_get_max_threads(); }\n")
            try:
                made = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[flag, "-fPIC"])
                self.compiler.link_shared_object(made, str(Path(folder, "probe.so")), extra_postargs=[flag])
            except Exception as error:  # whatever a compiler may raise: without OpenMP it is one thread
                print(f"no OpenMP: {error}", file=sys.stderr)  # noqa: T201
                return False
        return True


kernels = Extension(
    "hasn.kernels._scan",
    ["hasn/kernels/_scan.c"],
    depends=["hasn/kernels/_scan.h"],
    py_limited_api=True,
    optional=True,
)
setup(packages=packages, package_dir=ROOMS, ext_modules=[kernels], cmdclass={"build_ext": BuildKernels})
