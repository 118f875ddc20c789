"""`python -m wedsync` is the command line."""

from wedsync.cli import main

main(prog_name="wedsync")
