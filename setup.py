"""Maps the top-level rooms into hasn's namespace; find_packages keeps the wheel whole when rooms grow."""

from setuptools import find_packages, setup

ROOMS = {"hasn.backends": "backends", "hasn.models": "models", "hasn.conversions": "conversions"}
packages = find_packages(include=["hasn", "hasn.*"], exclude=[f"{room}*" for room in ROOMS])
for room, folder in ROOMS.items():
    packages += [room, *(f"{room}.{sub}" for sub in find_packages(folder))]
setup(packages=packages, package_dir=ROOMS)
