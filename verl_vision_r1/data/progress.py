"""Progress bars on stderr, for anything that takes longer than two seconds."""

from functools import partial

from tqdm import tqdm

progress = partial(tqdm, delay=2)
