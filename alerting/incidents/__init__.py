"""What people are told: alerts as they stand in Postgres, with their evidence."""
