"""What the rooms agree on: settings, records, taxonomy, model bundle, classifier, store, metrics, errors."""
