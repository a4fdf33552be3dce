"""Layers that several fusions, attentions or encoders share."""
