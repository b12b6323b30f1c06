"""Lava's own environment: Python 3.10 with lava-nc 0.10.0, which hasn itself (Python >= 3.11) cannot import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from hasn.backends.lava.pythons import Search, Tell, find_python
from hasn.errors import BackendUnavailable

LAVA = "lava-nc==0.10.0"
#: What lava-nc 0.10.0 was tested with here; it pins numpy < 2 itself.
PINNED = (LAVA, "numpy==1.26.4", "scipy==1.15.3", "networkx==2.8.7")
#: lava-dl's reader of .net files, without lava-dl's own needs: it reads and runs without torch.
NETX = ("lava-dl==0.6.0", "h5py==3.16.0")
MARKER = "hasn-lava.json"
MAKING = "hasn-lava.unfinished"
COMMAND = "hasn lava setup"
PIP_SECONDS = 1800.0

_VERIFY = """
import json, sys
from importlib.metadata import version
import numpy, scipy
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIF
names = ("lava-nc", "numpy", "scipy")
print(json.dumps({"python": sys.version.split()[0], **{name: version(name) for name in names}}))
"""


@dataclass(frozen=True)
class Status:
    """Whether Lava's environment is there.

    Attributes:
        installed: whether it is.
        folder: where it is, or would be.
        why_not: what is missing, with the command that mends it.
        versions: of python, lava-nc, numpy and scipy in it.
    """

    installed: bool
    folder: str
    why_not: str
    versions: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def environment_folder() -> Path:
    """Where the environment is: ``$HASN_LAVA_ENV``, or in hasn's own virtual environment, or among the user's data."""
    given = os.environ.get("HASN_LAVA_ENV")
    if given:
        return Path(given).expanduser().absolute()
    name = Path("hasn") / "lava-0.10.0"
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "share" / name
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / name


def status() -> Status:
    """What is there. Reads one small file and starts nothing."""
    folder = environment_folder()
    versions = _marker(folder)
    if versions is None:
        why_not = f"Lava's Python 3.10 environment is not set up in {folder}. Run: {COMMAND}"
    elif not _python(folder).exists():
        why_not = f"Lava's environment in {folder} has lost its Python. Run: {COMMAND} --force"
    else:
        return Status(True, str(folder), "", versions)
    return Status(False, str(folder), why_not, {})


def lava_python() -> Path:
    """The environment's interpreter.

    Raises:
        BackendUnavailable: it is not set up.
    """
    found = status()
    if not found.installed:
        raise BackendUnavailable(found.why_not, parameter="backend", got="'lava'")
    return _python(Path(found.folder))


class SetupFailed(Exception):
    """The environment could not be made.

    Attributes:
        search: where Python 3.10 was looked for; ``search.python`` is None if that is what was missing.
    """

    def __init__(self, message: str, search: Search) -> None:
        super().__init__(message)
        self.search = search


def set_up(force: bool = False, tell: Tell = lambda text: None) -> Status:
    """Make the environment, unless it is there.

    The marker is written last, after Lava has been imported; what is half made is removed.

    Args:
        force: make it anew.
        tell: hears what is being done.

    Raises:
        SetupFailed: no Python 3.10, or the installation failed.
    """
    now = status()
    if now.installed and not force:
        return now
    folder = environment_folder()
    tell("looking for Python 3.10")
    search = find_python(tell)
    if search.python is None:
        raise SetupFailed("no Python 3.10 was found", search)
    _refuse_foreign(folder, search)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAKING).touch()
        versions = _make(folder, search, tell)
        (folder / MARKER).write_text(json.dumps(versions, indent=1) + "\n", encoding="utf-8")
        (folder / MAKING).unlink()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SetupFailed(f"{folder} cannot be written: {error}", search) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return status()


def add_netx(tell: Tell = lambda text: None) -> Status:
    """Install lava-dl's reader into the environment, unless it is there: what NetX makes of our files is then tested.

    Raises:
        SetupFailed: there is no environment, or the installation failed.
    """
    now, search = status(), Search(None, ())
    if not now.installed:
        raise SetupFailed(now.why_not, search)
    if "lava-dl" in now.versions:
        return now
    folder = Path(now.folder)
    tell(f"installing {NETX[0]} without its dependencies")
    command = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*command, *NETX], search)
    versions = {**now.versions, **dict(requirement.split("==") for requirement in NETX)}
    try:
        (folder / MARKER).write_text(json.dumps(versions, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SetupFailed(f"{folder} cannot be written: {error}", search) from None
    return status()


def _refuse_foreign(folder: Path, search: Search) -> None:
    """Never remove a folder that this did not make (hasn's own virtual environment, say)."""
    ours = (folder / MARKER).exists() or (folder / MAKING).exists()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupFailed(f"{folder} exists and is not Lava's environment; it is left as it is", search)


def _make(folder: Path, search: Search, tell: Tell) -> dict[str, str]:
    tell(f"making a virtual environment with {search.python}")
    _run([str(search.python), "-m", "venv", str(folder)], search)
    python = str(_python(folder))
    tell(f"installing {LAVA} (half a minute)")
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED], search)
    tell("importing Lava")
    versions: dict[str, str] = json.loads(_run([python, "-c", _VERIFY], search).splitlines()[-1])
    return versions


def _run(command: list[str], search: Search) -> str:
    clean = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_CONSTRAINT")
    }
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=clean, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupFailed(f"{' '.join(command[:4])} ... did not finish: {error}", search) from None
    if done.returncode:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise SetupFailed(f"{' '.join(command[:4])} ... failed with exit status {done.returncode}:\n{words}", search)
    return done.stdout


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _marker(folder: Path) -> dict[str, str] | None:
    try:
        versions = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else None
