"""Token fusions: face tokens and audio tokens, two sets that read from each other, become a vector.

A token fusion is a module that is made from ``dim``, the width of both kinds of token, and has
``dim``, the width of its result. Its ``forward(face, audio, audio_length, face_mask)`` takes face
tokens, ``[batch, positions, dim]``, and audio tokens, ``[batch, frames, dim]``. True are the first
``audio_length`` audio tokens, and the face tokens that ``face_mask`` marks (None: all). It returns
the fused vector, ``[batch, dim]``, and weights, ``[batch, glimpses, positions]``, each glimpse of
which sums to one. Padding never changes either.
To add one, write its file here and name its class in a file of ``conf/model``.
"""
