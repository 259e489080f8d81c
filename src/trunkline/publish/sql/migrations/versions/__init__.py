"""One module per version of the platform's tables, the oldest first."""
