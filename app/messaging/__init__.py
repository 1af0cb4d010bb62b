"""The arq queue and the Redis doorbell."""
