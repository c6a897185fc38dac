"""Lessons: questions about the edge of stability that a run answers; importable without torch."""

from samedge_core.experiments.lessons.course import LEARNT, LESSONS, lesson_of
from samedge_core.experiments.lessons.lesson import Knob, Lesson
from samedge_core.experiments.lessons.observations import Outcome
from samedge_core.experiments.lessons.sketch import Canvas

__all__ = ["LEARNT", "LESSONS", "Canvas", "Knob", "Lesson", "Outcome", "lesson_of"]
