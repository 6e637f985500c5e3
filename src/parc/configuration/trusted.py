"""Which packages a config may name: this project's, and those that the user's own command line or options name.

A config may come with somebody else's run or checkpoint, and importing a module runs it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from parc.configuration.errors import SettingsError

_NAMED = re.compile(r"""(?:_target_|\bstage)\s*[:=]\s*["']?([A-Za-z_]\w*)\.""")
_trusted = {"parc"}


def trust(packages: Sequence[str]) -> None:
    """Let configs name these packages in this process."""
    _trusted.update(packages)


def trusted_packages() -> list[str]:
    """Return what configs may name in this process, for the processes that it starts."""
    return sorted(_trusted)


def trust_what_is_named(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Trust the packages that a command line's overrides name, or the files of the user's own options."""
    texts = list(overrides)
    for folder in folders:
        texts += [path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.rglob("*.yaml"))]
    trust([package for text in texts for package in _NAMED.findall(text)])


def refuse_untrusted(module: str, key: str) -> None:
    """Check that a module may be imported because a config names it.

    Raises:
        SettingsError: its package is neither this project's nor named by the user.
    """
    package = module.partition(".")[0]
    if package not in _trusted:
        raise SettingsError(
            key,
            f"'{module}' is of a package that a file names, not your command; if you trust it, name it yourself: "
            f"give {key}={module}.NAME, or options of your own with --config-dir",
        )
