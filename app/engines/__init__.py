"""Engines that run a task's text."""
