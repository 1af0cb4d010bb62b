"""Data Phantom: playgrounds of SQL tasks, run, watched and reconciled."""
