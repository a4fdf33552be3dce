"""Provenance of a result: code, versions, machine and command."""

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
FILE = "provenance.json"
SOURCE_FOLDER = Path(__file__).parent


def write_provenance(folder: Path) -> None:
    """Write provenance.json and, where the code differs from its commit, git.diff."""
    changes = _run_git("diff", "HEAD")
    record = {
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": {"commit": _run_git("rev-parse", "HEAD"), "dirty": bool(changes)},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{package: version(package) for package in PACKAGES},
        },
        "machine": _describe_machine(),
    }
    (folder / FILE).write_text(json.dumps(record, indent=1), encoding="utf-8")

    if changes:
        (folder / "git.diff").write_text(changes + "\n", encoding="utf-8")


def _run_git(*arguments: str) -> str | None:
    """Output of git about this code, None where it is in no repository."""
    command = ["git", "-C", str(SOURCE_FOLDER), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, check=True, encoding="utf-8", errors="replace", timeout=20
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _describe_machine() -> dict[str, Any]:
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
