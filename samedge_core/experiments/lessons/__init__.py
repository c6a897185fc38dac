"""Lessons: questions about the edge of stability that a run answers; importable without torch."""

from samedge_core.experiments.lessons.course import LESSONS
from samedge_core.experiments.lessons.lesson import Knob, Lesson
from samedge_core.experiments.lessons.observations import Outcome

__all__ = ["LESSONS", "Knob", "Lesson", "Outcome"]
