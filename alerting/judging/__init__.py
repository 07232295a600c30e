"""Keeps judged what is counted: reads the trends as they become complete, and judges again what changed."""
