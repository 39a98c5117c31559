"""Measurements on a CUDA card, with a full-size ModernBERT."""
