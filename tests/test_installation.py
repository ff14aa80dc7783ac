"""The locks and the commands that install them: what worked once works on any day."""

import hashlib
import importlib.metadata
import os
import pwd
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
RUNTIME, TESTS, DEMONSTRATION = (
    ROOT / name for name in ("requirements.lock", "requirements-dev.lock", "requirements-demonstration.lock")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11.7", "3.12.1", "3.13.0")
MACHINES = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: Version
    marker: Marker | None


def pins(text: str) -> tuple[Pin, ...]:
    """The packages of a lock; every line that is not a hash must be one."""
    found = []
    for line in re.sub(r"\\\n\s*--hash=sha256:[0-9a-f]{64}", "", text).splitlines():
        matched = re.fullmatch(r"([\w.-]+)==(\S+)(?: ; (.+?))? *", line)
        assert matched is not None, f"not a pinned package with its hashes: {line}"
        name, version, marker = matched.groups()
        found.append(Pin(canonicalize_name(name), Version(version), Marker(marker) if marker else None))
    return tuple(found)


def environments() -> Iterator[dict[str, str]]:
    """Every Python and machine that the lock is for."""
    for python in PYTHONS:
        for platform, system, machine in MACHINES:
            yield {
                **{name: str(value) for name, value in default_environment().items()},
                "python_version": python.rpartition(".")[0], "python_full_version": python,
                "implementation_version": python, "sys_platform": platform, "platform_system": system,
                "platform_machine": machine,
            }  # fmt: skip


def holds(marker: Marker | None, env: Mapping[str, str], extras: Iterable[str] = ("",)) -> bool:
    """Whether a marker holds for a package that is asked for with these extras."""
    return marker is None or any(marker.evaluate({**env, "extra": extra}) for extra in (*extras, ""))


def gaps(lock: Sequence[Pin], roots: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """What the packages of a lock require and the lock does not hold, from the metadata of installed packages."""
    chosen = {pin.name: pin for pin in lock if holds(pin.marker, env)}
    found, seen = [], set[tuple[str, str]]()
    waiting = [("the project", Requirement(root)) for root in roots]
    while waiting:
        by, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in chosen:
            found.append(f"{by} requires {requirement}, which the lock does not hold")
            continue
        if not requirement.specifier.contains(chosen[name].version, prereleases=True):
            found.append(f"{by} requires {requirement}, the lock holds {chosen[name].version}")
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            asked = (Requirement(each) for each in installed_requirements(chosen[name]))
            waiting += [(name, each) for each in asked if holds(each.marker, env, (extra,))]
    return sorted(set(found))


def installed_requirements(pin: Pin) -> Sequence[str]:
    """What a package requires; nothing is known of a version for another Python, which its own CI job checks."""
    try:
        if Version(importlib.metadata.version(pin.name)) == pin.version:
            return importlib.metadata.requires(pin.name) or ()
    except importlib.metadata.PackageNotFoundError:
        pass
    here = {name: str(value) for name, value in default_environment().items()}
    assert pin.marker is not None, f"{pin.name} {pin.version} is locked and not installed"
    assert not holds(pin.marker, here), f"{pin.name} {pin.version} is locked and not installed"
    return ()


def group(name: str) -> list[str]:
    """The requirements of a dependency group, those it includes too."""
    found = []
    for each in PROJECT["dependency-groups"][name]:
        found += [each] if isinstance(each, str) else group(each["include-group"])
    return found


RUNS_ON: list[str] = PROJECT["project"]["dependencies"]
ROOTS = {
    RUNTIME: [*RUNS_ON, *group("build")],
    TESTS: [*RUNS_ON, *group("dev"), *PROJECT["project"]["optional-dependencies"]["sacrebleu"]],
    DEMONSTRATION: group("demonstration"),
}


@pytest.mark.parametrize("lock", ROOTS, ids=lambda lock: lock.name)
def test_every_requirement_of_every_locked_package_is_locked(lock: Path) -> None:
    """On Python 3.11 to 3.13, with extras and markers, installing without resolving leaves nothing out."""
    found = pins(lock.read_text(encoding="utf-8"))
    assert [gap for env in environments() for gap in gaps(found, ROOTS[lock], env)] == []


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda text: re.sub(r"(?m)^coverage==.*\n(?: +--hash.*\n)+", "", text), "pytest-cov requires coverage"),
        (lambda text: re.sub(r"(?m)^coverage==\S+", "coverage==7.0", text), "the lock holds 7.0"),
        (lambda text: re.sub(r"(?m)^(numpy==\S+ ; \w+) < '3.12'", r"\1 < '3.11'", text), "requires numpy"),
    ],
    ids=["a package left out", "a version that does not fit", "a marker that is too narrow"],
)  # fmt: skip
def test_a_lock_that_is_not_closed_is_found(spoilt: object, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail."""
    known = importlib.metadata.requires
    monkeypatch.setitem(globals(), "installed_requirements", lambda pin: known(pin.name) or ())
    text = spoilt(TESTS.read_text(encoding="utf-8"))  # type: ignore[operator]
    env = next(iter(environments()))
    found = gaps(pins(text), ROOTS[TESTS], env)
    assert any(said in gap for gap in found), found


def test_a_smaller_lock_holds_the_versions_of_the_larger_one() -> None:
    """What is tested is what the action and the demonstration run on."""
    whole = {(pin.name, pin.version) for pin in pins(TESTS.read_text(encoding="utf-8"))}
    runtime = {(pin.name, pin.version) for pin in pins(RUNTIME.read_text(encoding="utf-8"))}
    demonstration = {(pin.name, pin.version) for pin in pins(DEMONSTRATION.read_text(encoding="utf-8"))}
    assert demonstration < runtime < whole


def test_no_lock_names_an_index() -> None:
    """A lock works with any index, a mirror included."""
    assert all("://" not in lock.read_text(encoding="utf-8") for lock in ROOTS)


INSTALLS = re.compile(r"\bpip3?\b['\"]?\s+(?:--?[\w-]+\s+)*install\b.*")
SOURCES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".ci/run", "action.yml", "comment/action.yml")
    ),
    *(
        file
        for top in ("docs", "benchmarks", "suites", "golden_sets", "reports")
        for file in (ROOT / top).rglob("*.md")
    ),
    *(file for top in (".github", "evalkit") for file in (ROOT / top).rglob("*.yml")),
]


def installing(text: str) -> Iterator[str]:
    """Each command that installs, without what follows it on its line."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||;|`", line):
            if found := INSTALLS.search(part):
                yield found[0]


def faults(command: str) -> list[str]:
    """What would make an install command depend on the day, or on a package of another project."""
    words = shlex.split(command, comments=True)
    asked = {word for word in words if word.startswith("-")}
    locked = any(word.endswith(".lock") for word in words)
    found = [f"{flag} is missing" for flag in ("--no-deps", "--require-hashes") if locked and flag not in asked]
    if not locked:
        own = [word for word in words if word in (".", "evalkit", "../evalkit") or word.endswith("/evalkit")]
        found += [f"{flag} is missing" for flag in ("--no-deps", "--no-build-isolation") if own and flag not in asked]
        found += ["the bare name is another project's"] * ("evalkit" in words)
    return found


def test_every_install_command_is_the_one_that_works_on_any_day() -> None:
    """In README, guides, action, workflows and scripts alike."""
    found = [(file.name, command) for file in SOURCES for command in installing(file.read_text(encoding="utf-8"))]
    assert len(found) >= 7
    assert [(name, command, faults(command)) for name, command in found if faults(command)] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("pip install --require-hashes -r requirements.lock", "--no-deps is missing"),
        (".venv/bin/pip install -q --no-deps -r requirements-dev.lock", "--require-hashes is missing"),
        ("python -m pip --isolated install -r x/requirements.lock", "--no-deps is missing"),
        ("uv pip install -r requirements.lock", "--no-deps is missing"),
        ("pip install --no-deps -e .", "--no-build-isolation is missing"),
        ("pip install evalkit", "the bare name is another project's"),
    ],
)
def test_an_unsafe_install_command_is_found(command: str, fault: str) -> None:
    """The check above can fail."""
    assert fault in [each for found in installing(f"first && {command} && last") for each in faults(found)]


def wheel(folder: Path, name: str, version: str, needs: str = "") -> str:
    """Write an empty package that needs another one; its pin with its hash."""
    info, file = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as packed:
        wanted = f"Requires-Dist: {needs}\n" if needs else ""
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}")
        packed.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def test_an_index_with_newer_versions_changes_nothing(tmp_path: Path) -> None:
    """The README's flags install what is locked; without `--no-deps`, pip takes the newer version and stops."""
    (links := tmp_path / "links").mkdir()
    lock = tmp_path / "some.lock"
    lock.write_text(
        wheel(links, "reporter", "1.0", "counter[toml]>=1.0") + wheel(links, "counter", "1.0"), encoding="utf-8"
    )
    wheel(links, "counter", "2.0")
    wheel(links, "reporter", "2.0")
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    shown = re.search(r"pip install (.*) -r requirements-dev\.lock", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown is not None
    pip = [python, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    install = [*pip, "install", "--no-index", "--find-links", str(links), "-r", str(lock)]
    without = [flag for flag in shown[1].split() if flag != "--no-deps"]
    failed = subprocess.run([*install, *without], capture_output=True, text=True)
    assert failed.returncode != 0 and "counter" in failed.stderr, failed
    subprocess.run([*install, *shown[1].split()], check=True)
    listed = subprocess.run([*pip, "list", "--format", "freeze"], capture_output=True, text=True, check=True).stdout
    assert {"reporter==1.0", "counter==1.0"} <= set(listed.splitlines())


@pytest.mark.parametrize("file", [ROOT / "README.md", ROOT / "action.yml", ROOT / ".github" / "workflows" / "ci.yml"])
def test_what_was_installed_is_checked(file: Path) -> None:
    """`pip check` follows every lock that is installed."""
    text = file.read_text(encoding="utf-8")
    locks = [found.start() for found in re.finditer(r"-r \S*requirements\S*\.lock", text)]
    checks = [found.start() for found in re.finditer(r"\bpip check\b", text)]
    assert locks
    for here, following in zip(locks, [*locks[1:], len(text)], strict=True):
        assert any(here < check < following for check in checks), f"no `pip check` after {text[here : here + 40]!r}"


def test_one_line_installs_evalkit_for_another_project() -> None:
    """README, action and starter workflow show the same line."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- install -->\n```sh\n(.*)\n```", readme)
    assert shown is not None
    for file in (ROOT / "action.yml", ROOT / "evalkit" / "operations" / "starter" / "workflow.yml"):
        assert f"#   {shown[1]}\n" in file.read_text(encoding="utf-8")


def test_a_system_is_warned_of_packages_that_it_shares_with_evalkit(tmp_path: Path) -> None:
    """In an environment over another one, a package that both hold in different versions is named, and only that."""
    base, upper = tmp_path / "base", tmp_path / "upper"
    program = (
        "import site, sys\n"
        f"site.getsitepackages = lambda prefixes=None: [{str(base)!r}]\n"
        f"site.getusersitepackages = lambda: {str(tmp_path / 'none')!r}\n"
        f"sys.path = [{str(upper)!r}, *(each for each in sys.path if 'lib' in each), {str(base)!r}]\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "from evalkit.systems.package_conflicts import shadowed_packages\n"
        "print(*shadowed_packages(), sep='\\n')\n"
    )
    for folder, versions in (
        (base, {"tables": "3.0", "forms": "1.0", "shapes": "2"}),
        (upper, {"tables": "2.1", "forms": "1.0"}),
    ):
        for name, version in versions.items():
            metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
            metadata.parent.mkdir(parents=True)
            metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    ended = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    assert "tables 2.1 instead of 3.0" in ended.stdout
    assert "forms" not in ended.stdout
    assert "shapes" not in ended.stdout
    plain = "from evalkit.systems.package_conflicts import shadowed_packages; print(list(shadowed_packages()))"
    assert subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_tests_have_a_home_of_their_own() -> None:
    """Nothing is read from the user's, and what libraries leave there is gone with the tests."""
    assert Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert Path.home().is_relative_to(tempfile.gettempdir())
