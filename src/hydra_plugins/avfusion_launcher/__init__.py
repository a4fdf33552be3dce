"""Launcher of sweeps, in the namespace in which Hydra looks for plugins."""

from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher

__all__ = ["SubprocessLauncher"]
