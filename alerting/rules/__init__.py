"""What operators ask for in `alerts.toml`: what is judged, within which budget, and who is notified when."""
