"""Estimates which GPUs each model needs, for docs/guides/hardware.md: `make hardware`."""

from generators.hardware import write

if __name__ == "__main__":
    write()
