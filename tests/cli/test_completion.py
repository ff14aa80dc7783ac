"""Shells complete commands and flags; a real process answers as it would answer a shell."""

from cli_project import Project


def asked(project: Project, words: str) -> list[str]:
    """What bash is told may come next; the last word is the one that is being typed."""
    env = {"_EVALKIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    ran = project.run(env=env)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_a_shell_completes_commands_and_flags(project: Project) -> None:
    """Commands, commands of a group, and every flag of a command."""
    assert asked(project, "evalkit ru") == ["run", "runs"]
    assert asked(project, "evalkit cache ") == ["ls", "prune"]
    assert asked(project, "evalkit run --fai") == ["--failed-from", "--fail-fast"]


def test_the_script_for_a_shell_is_shown(project: Project) -> None:
    """It asks the command by its name, however this process was started."""
    ran = project.run("--show-completion", "bash")
    assert ran.returncode == 0, ran.stderr
    assert "_EVALKIT_COMPLETE=complete_bash" in ran.stdout
