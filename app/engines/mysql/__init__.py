"""The engine for tasks that run on a MySQL or MariaDB server."""
