"""Adapting a trained codec to images of another domain, without touching what it was."""
