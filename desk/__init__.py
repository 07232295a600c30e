"""The analysts' web desk and its REST API."""
