"""In which folder a run is."""

import os
from pathlib import Path


def run_folder(ckpt_path: str | None, new: str) -> str:
    """Return the folder of a run: that of the run which is continued, else a new one."""
    if ckpt_path is None:
        return agreed(new)
    path = Path(ckpt_path)
    if path.is_file():
        return str(path.parents[1]) if path.parent.name == "checkpoints" else agreed(new)
    return str(path) if path.is_dir() else agreed(new)


def agreed(folder: str) -> str:
    """Return what the first process of torchrun proposes: each would name another moment."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return folder
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False)
    start = os.environ["TORCHELASTIC_RUN_ID"], os.environ["TORCHELASTIC_RESTART_COUNT"]
    key = f"avfusion/{'/'.join(start)}/run_folder"
    if os.environ["RANK"] == "0":
        store.set(key, folder)
    return store.get(key).decode()
