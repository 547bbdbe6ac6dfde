"""`python -m synchromesh.cli`: the program, for processes that start each other."""

from synchromesh.cli import main

main()
