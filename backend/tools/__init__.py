"""Chores of this folder that are no part of the application."""
