"""Scheduled training: when the model is trained again, and how far the result may go by itself."""
