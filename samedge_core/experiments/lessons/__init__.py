"""Lessons: questions about the edge of stability that a run answers; importable without torch."""

from samedge_core.experiments.lessons.course import LEARNT, LESSONS, lesson_of
from samedge_core.experiments.lessons.lesson import Knob, Lesson
from samedge_core.experiments.lessons.observations import Outcome

__all__ = ["LEARNT", "LESSONS", "Knob", "Lesson", "Outcome", "lesson_of"]
