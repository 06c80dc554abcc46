"""Learned compression: layers, entropy models, bitstreams, training. Nothing is imported here."""
