"""Gates and states: how a bundle comes into service and leaves it. No torch here."""
