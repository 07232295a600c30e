"""What a bundle is worth: figures, comparisons, reports and cards. No torch here."""
