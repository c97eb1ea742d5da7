"""A child process that runs Voila or JupyterLab until its standard input ends: however its parent goes, it goes too.

python -m deltaml_core.local.jupyter voila|lab ARGUMENT...
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def main(arguments: list[str]) -> None:
    """Run the program that is named first with the arguments after it."""
    threading.Thread(target=_until_input_ends, name="input", daemon=True).start()
    program, *rest = arguments
    if program == "voila":
        from voila.app import Voila

        Voila.launch_instance(rest)
    else:
        from jupyterlab.labapp import LabApp

        LabApp.launch_instance(rest)


def _until_input_ends() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
