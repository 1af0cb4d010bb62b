"""The engine for tasks that run as steps of an EMR cluster."""
