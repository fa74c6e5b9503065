"""Homework: the students' copies from their masters, and submissions graded in a sandbox."""
