"""Finding Python 3.10, and what `hasn lava` says. No pip, no network: candidates are little scripts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hasn.backends.lava import BACKEND, environment, pythons
from hasn.cli.lava import app
from hasn.errors import BackendUnavailable

SAYS_310 = "#!/bin/sh\necho 3.10\n"
SAYS_311 = "#!/bin/sh\necho 3.11\n"
#: A Python 3.10 with a pip and a Lava: writes down how it is called, and in which environment pip is.
INSTALLS = """#!/bin/sh
echo "$@" >> {log}
case "$2" in
  *version_info*) echo 3.10 ;;
  venv) mkdir -p "$3/bin"; /bin/cp "$0" "$3/bin/python" ;;
  pip) /usr/bin/env > {log}.env ;;
  *importlib.metadata*) echo 'Lava says hello'; echo '{{"python": "3.10.7", "lava-nc": "0.10.0"}}' ;;
esac
"""
SHIM = "#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n"


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a shell and nothing else."""
    shell = tmp_path / "path"
    shell.mkdir()
    for name in ("sh", "echo", "mkdir", "cat"):
        (shell / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(shell))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("HASN_LAVA_PYTHON", raising=False)
    monkeypatch.setenv("HASN_LAVA_ENV", str(tmp_path / "env"))
    return tmp_path


def test_importing_the_backend_imports_neither_lava_nor_what_runs_it():
    code = "import sys, hasn.backends.lava as lava; lava.BACKEND.info(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hasn.backends.lava.environment" in modules
    assert not {"lava", "scipy", "hasn.backends.lava.executable"} & set(modules)


def test_nothing_is_found_and_every_place_is_named(machine):
    search = pythons.find_python()
    assert search.python is None
    assert [line.split(":")[0] for line in search.tried] == ["pyenv", "PATH", "uv"]


def test_the_order_of_places(machine, monkeypatch):
    uv = program(machine / "path/uv", f"#!/bin/sh\necho {machine}/managed/python3.10\n")
    managed = program(machine / "managed/python3.10", SAYS_310)
    assert pythons.find_python().python == managed
    on_path = program(machine / "path/python3.10", SAYS_310)
    assert pythons.find_python().python == on_path
    pyenv = program(machine / "pyenv/versions/3.10.4/bin/python3.10", SAYS_310)
    assert pythons.find_python().python == pyenv
    given = program(machine / "mine/python", SAYS_310)
    monkeypatch.setenv("HASN_LAVA_PYTHON", str(given))
    assert pythons.find_python().python == given
    assert uv.exists()


def test_the_newest_of_pyenv_by_number_and_no_prerelease(machine):
    for version in ("3.10.9", "3.10.13", "3.10.2", "3.11.1", "3.10-dev", "3.10.14-debug"):
        program(machine / f"pyenv/versions/{version}/bin/python3.10", SAYS_310)
    assert [path.parts[-3] for path in pythons.pyenv_versions()] == ["3.10.13", "3.10.9", "3.10.2"]


def test_candidates_that_do_not_run_or_lie_are_passed_over(machine, monkeypatch):
    monkeypatch.setenv("HASN_LAVA_PYTHON", str(machine / "not/there"))
    program(machine / "pyenv/versions/3.10.13/bin/python3.10", SAYS_311)
    program(machine / "path/python3.10", SHIM)
    search = pythons.find_python()
    assert search.python is None
    told = "\n".join(search.tried)
    assert "$HASN_LAVA_PYTHON" in told
    assert "No such file" in told
    assert "is Python 3.11" in told
    assert "pyenv: python3.10: command not found" in told


def test_uv_installs_what_it_has_not(machine):
    managed = machine / "managed/python3.10"
    program(
        machine / "path/uv",
        f"""#!/bin/sh
if [ "$2" = install ]; then
  mkdir -p {managed.parent}
  cp_target={managed}
  echo '#!/bin/sh' > $cp_target; echo 'echo 3.10' >> $cp_target
  /bin/chmod 755 $cp_target
  exit 0
fi
[ -e {managed} ] && echo {managed}
""",
    )
    heard = []
    assert pythons.find_python(heard.append).python == managed
    assert heard == ["uv installs Python 3.10"]


def test_where_the_environment_goes(monkeypatch, tmp_path):
    monkeypatch.setenv("HASN_LAVA_ENV", str(tmp_path / "mine"))
    assert environment.environment_folder() == tmp_path / "mine"
    monkeypatch.delenv("HASN_LAVA_ENV")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert environment.environment_folder() == tmp_path / "venv/share/hasn/lava-0.10.0"
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert environment.environment_folder() == tmp_path / "data/hasn/lava-0.10.0"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment.environment_folder() == tmp_path / ".local/share/hasn/lava-0.10.0"


def test_where_it_is_not_installed_every_way_in_names_the_command(machine):
    assert "hasn lava setup" in BACKEND.why_not()
    assert BACKEND.version() == ""
    assert not BACKEND.info().available
    with pytest.raises(BackendUnavailable, match="hasn lava setup"):
        environment.lava_python()
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 1
    assert "hasn lava setup" in shown.output
    as_json = json.loads(CliRunner().invoke(app, ["status", "--json"]).output)
    assert as_json["installed"] is False
    assert as_json["folder"] == str(machine / "env")


def test_setup_without_a_python_says_what_was_tried(machine):
    failed = CliRunner().invoke(app, ["setup"])
    assert failed.exit_code == 1
    assert "no Python 3.10 was found" in failed.output
    assert "PATH: none" in failed.output
    optional = CliRunner().invoke(app, ["setup", "--optional"])
    assert optional.exit_code == 0
    assert "The other backends work without it" in optional.output
    assert not (machine / "env").exists()


def test_a_failed_installation_is_reported_and_leaves_nothing(machine):
    """A "Python 3.10" that makes a folder for its venv and has no pip in it."""
    program(
        machine / "path/python3.10",
        '#!/bin/sh\n[ "$1" = -c ] && echo 3.10 && exit 0\nmkdir -p "$3"\necho "no room on device" >&2\nexit 28\n',
    )
    for arguments in (["setup"], ["setup", "--optional"]):
        failed = CliRunner().invoke(app, arguments)
        assert failed.exit_code == 1
        assert "no room on device" in failed.output
        assert not (machine / "env").exists()


def test_a_folder_of_something_else_is_never_removed(machine):
    program(machine / "path/python3.10", SAYS_310)
    (machine / "env").mkdir()
    (machine / "env/thesis.txt").write_text("the only copy")
    (machine / "env/pyvenv.cfg").touch()
    failed = CliRunner().invoke(app, ["setup"])
    assert failed.exit_code == 1
    assert "is not Lava's environment" in failed.output
    assert (machine / "env/thesis.txt").read_text() == "the only copy"


def test_what_an_interrupted_setup_left_is_made_anew(machine):
    program(machine / "path/python3.10", '#!/bin/sh\n[ "$1" = -c ] && echo 3.10 && exit 0\nexit 1\n')
    (machine / "env").mkdir()
    (machine / "env" / environment.MAKING).touch()
    assert "failed with exit status 1" in CliRunner().invoke(app, ["setup"]).output
    assert not (machine / "env").exists()


def test_what_is_done_is_not_done_again(machine):
    """Found by its marker, without a look for Python."""
    program(machine / "env/bin/python", SAYS_310)
    (machine / "env" / environment.MARKER).write_text(json.dumps({"python": "3.10.1", "lava-nc": "0.10.0"}))
    done = CliRunner().invoke(app, ["setup"])
    assert done.exit_code == 0
    assert done.output.startswith("Lava is set up: python 3.10.1, lava-nc 0.10.0 in ")
    assert BACKEND.why_not() == ""
    assert BACKEND.version() == "0.10.0"
    assert CliRunner().invoke(app, ["status"]).exit_code == 0


@pytest.mark.parametrize("marker", ["", "[]", "{"])
def test_a_marker_that_is_cut_off_counts_as_not_installed(machine, marker):
    program(machine / "env/bin/python", SAYS_310)
    (machine / "env" / environment.MARKER).write_text(marker)
    assert "not set up" in BACKEND.why_not()


def test_a_lost_interpreter_is_noticed(machine):
    (machine / "env").mkdir()
    (machine / "env" / environment.MARKER).write_text("{}")
    assert "--force" in BACKEND.why_not()


# --- made, once and again


@pytest.fixture
def installs(machine):
    """A Python that can install; gives the file of its calls."""
    program(machine / "path/python3.10", INSTALLS.format(log=machine / "log"))
    return machine / "log"


def calls(log):
    """Of one line each, the check of the version apart."""
    return [line for line in log.read_text().splitlines() if line.startswith("-m")]


def test_setup_makes_installs_imports_and_then_marks(machine, installs, monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_CONSTRAINT", "KEPT"):
        monkeypatch.setenv(name, "mine")
    heard = []
    made = environment.set_up(tell=heard.append)
    assert made == environment.Status(True, str(machine / "env"), "", {"python": "3.10.7", "lava-nc": "0.10.0"})
    assert environment.status() == made
    assert environment.lava_python() == machine / "env/bin/python"
    assert [line.split()[0] for line in heard] == ["looking", "making", "installing", "importing"]
    assert calls(installs) == [
        f"-m venv {machine / 'env'}",
        "-m pip install --quiet --disable-pip-version-check lava-nc==0.10.0 numpy==1.26.4 scipy==1.15.3"
        " networkx==2.8.7",
    ]
    seen = dict(line.split("=", 1) for line in (machine / "log.env").read_text().splitlines() if "=" in line)
    assert seen["KEPT"] == "mine"
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PYTHONHOME"} & set(seen)
    assert not (machine / "env" / environment.MAKING).exists()
    before = installs.read_text()
    assert environment.set_up() == made
    assert installs.read_text() == before


def test_force_makes_it_anew(machine, installs):
    environment.set_up()
    (machine / "env/old").touch()
    environment.set_up(force=True)
    assert not (machine / "env/old").exists()
    assert environment.status().installed
    assert len(calls(installs)) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no room")])
def test_what_is_half_made_is_removed(machine, installs, error):
    def interrupt(text):
        if text.startswith("importing"):
            raise error

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else environment.SetupFailed) as failed:
        environment.set_up(tell=interrupt)
    assert not (machine / "env").exists()
    if error is not KeyboardInterrupt:
        assert f"{machine / 'env'} cannot be written: no room" in str(failed.value)
        assert failed.value.search.python == machine / "path/python3.10"


def test_an_empty_folder_is_used_and_a_file_is_not(machine, installs):
    (machine / "env").mkdir()
    assert environment.set_up().installed
    (machine / "env" / environment.MARKER).unlink()
    with pytest.raises(environment.SetupFailed, match="is left as it is"):
        environment.set_up()
    assert (machine / "env/bin/python").exists()


def test_a_file_in_its_place_is_kept(machine, installs):
    (machine / "env").write_text("the only copy")
    with pytest.raises(environment.SetupFailed, match="is left as it is"):
        environment.set_up(force=True)
    assert (machine / "env").read_text() == "the only copy"


def test_the_end_of_what_a_failed_command_said(machine):
    program(
        machine / "path/python3.10",
        '#!/bin/sh\n[ "$1" = -c ] && echo 3.10 && exit 0\n'
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do echo said $i; done\nexit 9\n",
    )
    with pytest.raises(environment.SetupFailed) as failed:
        environment.set_up()
    lines = str(failed.value).splitlines()
    assert lines[0] == f"{machine / 'path/python3.10'} -m venv {machine / 'env'} ... failed with exit status 9:"
    assert lines[1:] == [f"said {i}" for i in range(3, 18)]


def test_a_command_that_never_ends_is_ended(machine, monkeypatch):
    monkeypatch.setattr(environment, "PIP_SECONDS", 0.2)
    program(machine / "path/python3.10", '#!/bin/sh\n[ "$1" = -c ] && echo 3.10 && exit 0\nexec /bin/sleep 60\n')
    with pytest.raises(environment.SetupFailed, match=r"-m venv .* did not finish"):
        environment.set_up()
    assert not (machine / "env").exists()


def test_netx_is_installed_once_without_what_it_needs_itself(machine, installs):
    with pytest.raises(environment.SetupFailed, match="hasn lava setup"):
        environment.add_netx()
    environment.set_up()
    heard = []
    made = environment.add_netx(heard.append)
    wanted = {"python": "3.10.7", "lava-nc": "0.10.0", "lava-dl": "0.6.0", "h5py": "3.16.0"}
    assert made.versions == environment.status().versions == wanted
    assert calls(installs)[-1] == (
        "-m pip install --quiet --disable-pip-version-check --no-deps lava-dl==0.6.0 h5py==3.16.0"
    )
    assert len(heard) == 1
    before = calls(installs)
    assert environment.add_netx(heard.append) == made
    assert (calls(installs), len(heard)) == (before, 1)


def test_a_lost_interpreter_is_no_environment(machine):
    (machine / "env").mkdir()
    (machine / "env" / environment.MARKER).write_text('{"lava-nc": "0.10.0"}')
    found = environment.status()
    assert (found.installed, found.folder, found.versions) == (False, str(machine / "env"), {})
    assert found.as_dict() == {"installed": False, "folder": found.folder, "why_not": found.why_not, "versions": {}}
    with pytest.raises(BackendUnavailable) as error:
        environment.lava_python()
    assert (error.value.parameter, error.value.got) == ("backend", "'lava'")


def test_where_the_environment_is_named_from(machine, monkeypatch):
    monkeypatch.setenv("HOME", str(machine))
    monkeypatch.setenv("HASN_LAVA_ENV", "~/mine")
    assert environment.environment_folder() == machine / "mine"
    monkeypatch.chdir(machine)
    monkeypatch.setenv("HASN_LAVA_ENV", "here")
    assert environment.environment_folder() == machine / "here"


# --- one candidate after the other


def test_what_each_place_had_is_told(machine):
    program(machine / "pyenv/versions/3.10.4/bin/python3.10", SAYS_311)
    found = program(machine / "path/python3.10", SAYS_310)
    search = pythons.find_python()
    assert search.python == found
    assert search.tried == (
        f"pyenv: {machine}/pyenv/versions/3.10.4/bin/python3.10: is Python 3.11",
        f"PATH: {found}: Python 3.10",
    )
    found.unlink()
    assert pythons.find_python().tried[1:] == ("PATH: none", "uv: none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SAYS_310, ""), ("#!/bin/sh\necho 3.1\n", "is Python 3.1"),
        ("#!/bin/sh\nexit 7\n", "does not run (exit status 7)"),
        ("#!/bin/sh\necho one >&2; echo two >&2; exit 7\n", "does not run (one)"), ("#!/no/such\n", "does not run ("),
    ],
)  # fmt: skip
def test_what_is_no_python_310(machine, text, words):
    found = pythons.problem_with(program(machine / "python", text))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_a_python_that_never_answers_is_passed_over(machine, monkeypatch):
    monkeypatch.setattr(pythons, "RUN_SECONDS", 0.2)
    assert "timed out" in pythons.problem_with(program(machine / "python", "#!/bin/sh\nexec /bin/sleep 60\n"))


def test_pyenv_s_folder(machine, monkeypatch):
    monkeypatch.setenv("HOME", str(machine))
    here = program(machine / ".pyenv/versions/3.10.4/bin/python3.10", SAYS_310)
    (machine / ".pyenv/versions/3.10.5/bin").mkdir(parents=True)  # without a Python
    for value in (None, ""):
        monkeypatch.delenv("PYENV_ROOT") if value is None else monkeypatch.setenv("PYENV_ROOT", value)
        assert pythons.pyenv_versions() == [here]


@pytest.mark.parametrize("uv", ["echo /a/python; exit 1", "echo; exit 0", "exec /bin/sleep 60"])
def test_a_uv_that_fails_has_none(machine, monkeypatch, uv):
    monkeypatch.setattr(pythons, "RUN_SECONDS", 0.2)
    monkeypatch.setattr(pythons, "INSTALL_SECONDS", 0.2)
    program(machine / "path/uv", f'#!/bin/sh\necho "$@" >> {machine / "log"}\n{uv}\n')
    assert pythons.find_python().tried[-1] == "uv: none"
    find = "python find --python-preference only-managed 3.10"
    assert Path(machine / "log").read_text().splitlines() == [find, "python install 3.10", find]
