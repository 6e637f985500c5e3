"""Hydra's sweeper for parc: composes and checks every job of a sweep, then gives all to the launcher."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class CheckingSweeper(BasicSweeper):
    """A grid sweep whose jobs all have to be in form before any of them runs."""

    def sweep(self, arguments: list[str]) -> Any:
        """Compose every job, check it, name its folder, and launch them together."""
        from parc.cluster.sweeping import checked_launcher, checked_sweep, launcher_settings

        assert self.config is not None and self.launcher is not None and self.hydra_context is not None
        loader = self.hydra_context.config_loader
        # Nothing is deleted or started for a launcher that would refuse the sweep.
        checked_launcher(self.config, loader, self.launcher)
        # Values of the command line beat those of `hydra.sweeper.params`, which come first.
        given = OverridesParser.create(config_loader=loader).parse_overrides([*self._parse_config(), *arguments])
        swept = [override.get_key_element() for override in given if override.is_sweep_override()]
        (batch,) = self.split_arguments(given, max_batch_size=None)
        sweep = checked_sweep(self.config, loader, batch, swept)
        # Hydra's own way hands over overrides, and the launcher would compose and check every job once more.
        return self.launcher.launch_sweep(sweep, launcher_settings(self.config))  # type: ignore[attr-defined]
