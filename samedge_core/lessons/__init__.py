"""Lessons: questions about the edge of stability that a run answers; importable without torch."""

from samedge_core.lessons.course import LESSONS
from samedge_core.lessons.lesson import Knob, Lesson
from samedge_core.lessons.observations import Outcome

__all__ = ["LESSONS", "Knob", "Lesson", "Outcome"]
