"""Found by Hydra itself, which scans the namespace package `hydra_plugins`: puts our recipes on its search path.

Kept free of other imports: a slow plugin slows every Hydra application of the environment.
"""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

CONFIGS = "pkg://verl_vision_r1.config"


class VisionR1SearchPath(SearchPathPlugin):
    """Appends our configurations after the application's own, which therefore win where names collide."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append them once: verl's entry point and Hydra's discovery both bring this class in."""
        if any("vision_r1" in word for word in sys.argv[1:]):
            _refuse_old_names(sys.argv[1:])
        if all(element.path != CONFIGS for element in search_path.get_path()):
            search_path.append(provider="verl-vision-r1", path=CONFIGS)


def _refuse_old_names(words: list[str]) -> None:
    """Here, because Hydra's own message about an unknown name cannot say what it is called now."""
    from verl_vision_r1.renamed import check_overrides

    try:
        check_overrides(words)
    except ValueError as error:
        raise SystemExit(f"verl-vision-r1: {error}") from error
