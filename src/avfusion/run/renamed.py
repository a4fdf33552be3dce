"""Keys and choices with another name now: an old command is answered with the new one."""

RENAMED_KEYS: dict[str, str] = {  # part of a dotted key, or a group -> the new one
    "face.pictures": "face.num_frames",
    "face.several": "face.select_face",
    "audio.silence": "audio.silence_dbfs",
    "features.maps": "features.face_maps",
    "features/maps": "features/face_maps",
    "callbacks.counted_clips": "callbacks.training_metrics",
    "callbacks.parts": "callbacks.model_summary",
    "augmentation.face.colour": "augmentation.face.color",
    "optimizer.groups": "optimizer.lr_scale",
    "model.lr_factors": "model.lr_scale",
    "encoder.groups": "encoder.norm_groups",
    "face_encoder.groups": "face_encoder.norm_groups",
    "audio_encoder.hidden": "audio_encoder.hidden_dim",
    "audio_encoder.layers": "audio_encoder.num_layers",
    "audio_encoder.heads": "audio_encoder.num_heads",
    "attention.hidden": "attention.hidden_dim",
    "head.hidden": "head.hidden_dim",
    "network.fusion.layers": "network.fusion.num_layers",
    "network.fusion.heads": "network.fusion.num_heads",
    "model.network.layers": "model.network.num_layers",
}
RENAMED_CHOICES: dict[str, str] = {  # group=choice -> the same group=new choice
    "features=pictures": "features=images_only",
    "callbacks=plain": "callbacks=minimal",
    "model/audio_encoder=conv": "model/audio_encoder=tcn",
    "model/face_encoder=stored": "model/face_encoder=precomputed",
}


def find_new_key(key: str) -> str | None:
    """Find the new spelling of an old dotted key, such as ``a.b.old`` or ``b.old.c``."""
    for old, new in RENAMED_KEYS.items():
        before, found, after = f".{key}.".partition(f".{old}.")
        if found:
            return f"{before}.{new}.{after}".strip(".")
    return None
