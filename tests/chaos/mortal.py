"""`python -m tests.chaos.mortal MODULE ARGUMENTS`: run a module as a process that the system kills when its parent dies, however that dies.

It asks for this itself, before anything else: a parent with threads can't safely do anything in its child between fork and exec.
"""

from __future__ import annotations

import ctypes
import runpy
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1

if __name__ == "__main__":
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
