"""The launcher of sweeps; Hydra finds plugins only in packages at this place."""

from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher

__all__ = ["SubprocessLauncher"]
