"""The model: backbones, heads, and the split at the frontier between frozen and trainable layers."""
