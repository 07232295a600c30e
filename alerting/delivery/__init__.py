"""Takes what changed to people: at least once, each receiver by itself."""
