"""Weights of networks that others trained: read from their files without running them, checked by name, kept as safetensors."""
