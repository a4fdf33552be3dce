"""What several fusions, attentions or encoders are made of."""
