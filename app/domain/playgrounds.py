"""Vocabulary of playgrounds."""

from enum import StrEnum


class PlaygroundStatus(StrEnum):
    IDLE = "IDLE"
    RUNNING = "RUNNING"
