"""From public or custom datasets to the parquet files that verl trains on.

`readers` reads the published formats, `prepare` selects images and writes samples, `validate` and `view` check them,
`dataset` is the class that verl loads them with.
"""

import re

MIN_PIXELS = 4 * 28 * 28
MAX_PIXELS = 512 * 28 * 28
"""Bounds of the image area after the resize, in pixels: those of the Vision-R1 release."""

ON_THE_HUB = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
"""The name of a model on the Hugging Face Hub: NAME or OWNER/NAME."""

SFT_PREFIX = "sft_"
"""What the names of files for supervised training begin with."""
