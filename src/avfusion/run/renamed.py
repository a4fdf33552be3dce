"""Keys and choices with another name now: an old command is answered with the new one."""

KEYS: dict[str, str] = {  # the end of a dotted key -> that of the new one
    "callbacks.parts": "callbacks.model_summary",
    "augmentation.face.colour": "augmentation.face.color",
}
CHOICES: dict[str, str] = {}  # group=choice -> the same group=new choice


def new_key(key: str) -> str | None:
    """Find the new spelling of an old dotted key, such as ``a.b.old`` for ``b.old``."""
    for old, new in KEYS.items():
        if key == old or key.endswith(f".{old}"):
            return key.removesuffix(old) + new
    return None
