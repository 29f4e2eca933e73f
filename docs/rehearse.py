"""Rehearses training recipes and keeps the results for docs/guides/rehearse.md: `make rehearse`."""

import sys

from generators.rehearsals import write

if __name__ == "__main__":
    write(sys.argv[1:])
