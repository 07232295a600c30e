"""From trends to people: a detector judges each series, and an outbox delivers what it found."""
