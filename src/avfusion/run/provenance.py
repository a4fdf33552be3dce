"""Where a result comes from: code, versions, machine and command."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("avfusion", "lightning", "torchmetrics", "hydra-core", "numpy", "av")
HERE = Path(__file__).parent


def write_provenance(folder: Path) -> None:
    """Write provenance.json and, where the code differs from its commit, git.diff."""
    changes = git("diff", "HEAD")
    record = {
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": {"commit": git("rev-parse", "HEAD"), "dirty": bool(changes)},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{package: version(package) for package in PACKAGES},
        },
        "machine": machine(),
    }
    (folder / "provenance.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    if changes:
        (folder / "git.diff").write_text(changes + "\n", encoding="utf-8")


def git(*arguments: str) -> str | None:
    """Return what git says of this code, None where it is in no repository."""
    command = ["git", "-C", str(HERE), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, check=True, encoding="utf-8", errors="replace", timeout=20
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """Return what this machine computes with."""
    cuda = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if cuda else []
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
    }
