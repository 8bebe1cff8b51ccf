"""The hosts behind the words that a config may write instead of them."""

from __future__ import annotations

from collections.abc import Mapping

PRESETS: Mapping[str, tuple[str, ...]] = {
    "pypi": ("pypi.org:443", "files.pythonhosted.org:443"),
    "npm": ("registry.npmjs.org:443",),
    "github": (
        "github.com:443",
        "api.github.com:443",
        "codeload.github.com:443",
        "objects.githubusercontent.com:443",
        "raw.githubusercontent.com:443",
        "release-assets.githubusercontent.com:443",
        "media.githubusercontent.com:443",
        "github-cloud.githubusercontent.com:443",
    ),
    "debian": ("deb.debian.org:80", "deb.debian.org:443", "security.debian.org:80", "security.debian.org:443"),
}
"""What reading a package index, cloning and downloading releases, and installing packages need."""
