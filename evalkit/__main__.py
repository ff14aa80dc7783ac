"""Start `evalkit` and `python -m evalkit`."""

import os
import sys

from evalkit.cli.app import is_brief
from evalkit.cli.app import main as command
from evalkit.cli.child_process import supervised


def main() -> None:
    """Run the command line in a child and check its exit code; help and completion run without one."""
    if is_brief(sys.argv[1:], os.environ):
        command()
    else:
        supervised(command)


if __name__ == "__main__":
    main()
