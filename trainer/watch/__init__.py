"""When to train again: new labels, drift, age; and themes that no label covers yet. No torch here."""
