"""Comparing ways to adapt a codec: what each gains on a new domain, and what it forgets."""
