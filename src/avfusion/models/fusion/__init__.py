"""Fusions: a face vector ``[..., face_dim]`` and an audio vector ``[..., audio_dim]`` become one.

A fusion is a module that is made from ``face_dim`` and ``audio_dim``, has ``dim``, and whose
``forward(face, audio)`` returns ``[..., dim]``. To add one, write its file here and name its class
in a file of ``conf/model``; nothing else knows of it.

README.md in this folder compares all of them.
"""
