"""A composite action on a simulated runner: its shell steps are read from action.yml and run by bash."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


@dataclass
class Job:
    """One job with one use of the action."""

    folder: Path
    """The workspace."""
    temp: Path
    env: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    """Variables that the runner leaves empty."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Of the action."""
    uploads: dict[str, Path] = field(default_factory=dict)
    """Artifact name -> what was kept of it."""
    log: str = ""
    failed: bool = False

    def use(self, action: Path, inputs: Mapping[str, str]) -> None:
        """Run every step, as far as its `if:` lets it."""
        spec = yaml.safe_load(action.read_text(encoding="utf-8"))
        given = {name: str(inputs.get(name, each.get("default", ""))) for name, each in spec["inputs"].items()}
        known: dict[str, Any] = {"inputs": given, "steps": {}}
        for step in spec["runs"]["steps"]:
            if not self._is_wanted(step.get("if", "success()"), known):
                continue
            if "run" in step:
                self.shell(step, known, action.parent)
            else:
                self._upload(step, known)
        self.outputs = {name: filled(each["value"], known) for name, each in spec.get("outputs", {}).items()}

    def _is_wanted(self, condition: str, known: Mapping[str, Any]) -> bool:
        for part in condition.split(" && "):
            if part == "always()":
                continue
            if part == "success()":
                if self.failed:
                    return False
                continue
            left, right = part.split(" != ")
            if value_of(left, known) == right.strip("'"):
                return False
        return True

    def shell(self, step: Mapping[str, Any], known: dict[str, Any], action: Path) -> None:
        """Run one step as bash would."""
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        files = {name: self.temp / f"{name}.{len(self.log)}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        env = {
            **os.environ, **self.env,
            "GITHUB_ACTIONS": "true", "CI": "true", "RUNNER_TEMP": str(self.temp),
            "GITHUB_WORKSPACE": str(self.folder), "GITHUB_ACTION_PATH": str(action),
            **{name: str(file) for name, file in files.items()},
            **{name: filled(str(value), known) for name, value in step.get("env", {}).items()},
        }  # fmt: skip
        env |= dict.fromkeys(self.lacks, "")
        script = self.temp / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        self.log += ran.stdout + ran.stderr
        self.failed |= ran.returncode != 0
        self.exit_code = ran.returncode
        self.summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8") or getattr(self, "summary", "")
        lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
        known["steps"][step.get("id", "")] = dict(line.split("=", 1) for line in lines)

    def _upload(self, step: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        assert re.fullmatch(r"actions/upload-artifact@[0-9a-f]{40}", step["uses"])
        lines = filled(step["with"]["path"], known).splitlines()
        (path,) = (Path(line) for line in lines if not line.startswith("!"))
        left_out = [Path(line[1:]) for line in lines if line.startswith("!")]
        name = filled(step["with"]["name"], known)
        if any(each.exists() for each in left_out):
            kept = self.temp / "artifacts" / name
            shutil.copytree(path, kept, ignore=lambda at, names: [each for each in names if Path(at, each) in left_out])
            path = kept
        if path.exists():
            self.uploads[name] = path


def value_of(expression: str, known: Mapping[str, Any]) -> str:
    """`inputs.x` or `steps.id.outputs.y`, empty where it is not set."""
    parts = expression.strip().split(".")
    if parts[0] == "inputs":
        return str(known["inputs"][parts[1]])
    assert (parts[0], parts[2]) == ("steps", "outputs"), expression
    return str(known["steps"].get(parts[1], {}).get(parts[3], ""))


def filled(text: str, known: Mapping[str, Any]) -> str:
    """A text with its expressions replaced."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: value_of(found[1], known), text)


def job_in(folder: Path, temp: Path) -> Job:
    """A job whose evalkit is already installed: the tests' own environment."""
    temp.mkdir(parents=True, exist_ok=True)
    binaries = temp / "evalkit-venv" / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    wrapper = binaries / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    (temp / "evalkit-venv" / "installed-from").write_text(str(ROOT), encoding="utf-8")
    return Job(folder, temp)


def event(temp: Path, value: Mapping[str, Any]) -> Path:
    """An event file."""
    file = temp / "event.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return file
