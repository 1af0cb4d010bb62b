"""Migrations of the metadata database, the same on SQLite and MariaDB."""
