"""Start `evalkit` and `python -m evalkit`."""

import gc
import os
import sys

from evalkit.cli.app import is_brief
from evalkit.cli.app import main as command
from evalkit.cli.child_process import supervised


def main() -> None:
    """Run the command line in a child and check its exit code; help and completion run without one."""
    # Modules and rows hold few cycles, and a short run would spend 3 % of its time on the search for them.
    gc.set_threshold(100_000, 50, 50)
    if is_brief(sys.argv[1:], os.environ):
        command()
    else:
        supervised(command)


if __name__ == "__main__":
    main()
