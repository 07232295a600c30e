"""Sources that are no RSS or Atom feeds: one file each behind one interface (`ingest.sources.interface`)."""
