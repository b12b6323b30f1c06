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
    """Optimise, but never contract a*b + c: it would change spikes. OpenMP and 512 bits where the compiler has them."""

    def build_extension(self, extension: Extension) -> None:
        """Add the flags of the compiler at hand."""
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args += ["/O2", "/fp:precise", "/openmp"]
        else:
            extension.extra_compile_args += ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
            if self._takes("-mprefer-vector-width=512", "int probe(void) { return 0; }"):
                extension.extra_compile_args.append("-mprefer-vector-width=512")
            if self._takes("-fopenmp", "#include <omp.h>\nint probe(void) { return omp_get_max_threads(); }"):
                extension.extra_compile_args.append("-fopenmp")
                extension.extra_link_args.append("-fopenmp")
        super().build_extension(extension)

    def _takes(self, flag: str, program: str) -> bool:
        """Whether ``program`` compiles and links with ``flag``."""
        with TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program + "\n")
            try:
                made = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[flag, "-fPIC"])
                self.compiler.link_shared_object(made, str(Path(folder, "probe.so")), extra_postargs=[flag])
            except Exception as error:  # whatever a compiler may raise: it does without
                print(f"kernels are built without {flag}: {error}", file=sys.stderr)  # noqa: T201
                return False
        return True


#: Name -> headers.
KERNELS = {
    "_scan": ["_scan.h", "_rows.h", "_portable.h"],
    "_product": ["_product.h"],
    "_events": ["_portable.h"],
    "_plastic": ["_plastic.h", "_portable.h"],
}
kernels = [
    Extension(
        f"hasn.kernels.{name}",
        [f"hasn/kernels/{name}.c"],
        depends=[f"hasn/kernels/{header}" for header in headers],
        py_limited_api=True,
        optional=True,
    )
    for name, headers in KERNELS.items()
]
setup(packages=packages, package_dir=ROOMS, ext_modules=kernels, cmdclass={"build_ext": BuildKernels})
