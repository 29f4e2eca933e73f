"""Found by Hydra itself, which scans the namespace package `hydra_plugins`: puts our recipes on its search path.

Kept free of other imports: a slow plugin slows every Hydra application of the environment.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

CONFIGS = "pkg://verl_vision_r1.config"


class VisionR1SearchPath(SearchPathPlugin):
    """Appends our configurations after the application's own, which therefore win where names collide."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append them once: verl's entry point and Hydra's discovery both bring this class in."""
        if all(element.path != CONFIGS for element in search_path.get_path()):
            search_path.append(provider="verl-vision-r1", path=CONFIGS)
