"""Folder of a run."""

import os
from pathlib import Path


def choose_run_folder(ckpt_path: str | None, new: str) -> str:
    """Choose the folder of the run that is resumed, otherwise a new one."""
    if ckpt_path is None:
        return _agree_on(new)

    path = Path(ckpt_path)
    if path.is_file():
        return str(path.parents[1]) if path.parent.name == "checkpoints" else _agree_on(new)
    return str(path) if path.is_dir() else _agree_on(new)


def _agree_on(folder: str) -> str:
    """Take the folder of torchrun's first process: each process would name another moment."""
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
