"""From a folder of annotated images to the rows that verl trains on.

`rows` says what a row is, `coco` and `voc` read one format each, `prepare` joins them.
"""

MIN_PIXELS = 4 * 28 * 28
MAX_PIXELS = 512 * 28 * 28
"""Bounds of the area that an image is resized to, in pixels: those of the Vision-R1 release."""
