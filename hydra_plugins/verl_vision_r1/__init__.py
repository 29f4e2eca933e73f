"""Adds our recipes to Hydra's search path. Hydra finds this by scanning the namespace package `hydra_plugins`.

Keep the imports light: Hydra loads this in every Hydra application of the environment.
"""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

CONFIGS = "pkg://verl_vision_r1.config"


class VisionR1SearchPath(SearchPathPlugin):
    """Appends our configurations after the application's own, which take precedence if names collide."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the path once: both verl's entry point and Hydra's discovery load this class."""
        if any("vision_r1" in word or "recip" in word for word in sys.argv[1:]):
            _refuse_old_names(sys.argv[1:])
        if all(element.path != CONFIGS for element in search_path.get_path()):
            search_path.append(provider="verl-vision-r1", path=CONFIGS)


def _refuse_old_names(words: list[str]) -> None:
    """Stop the run on a renamed or misspelt option: Hydra's own message does not give the right one."""
    from verl_vision_r1.renamed import check_overrides

    try:
        check_overrides(words)
    except ValueError as error:
        raise SystemExit(f"verl-vision-r1: {error}") from error
