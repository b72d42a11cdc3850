# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that a user sees: one sentence that says what happened and what to do."""

INPUT_FAILED, BAD_ARGUMENTS, ENVIRONMENT, CANCELLED = 1, 2, 3, 130  # exit codes of the command line


class UserError(Exception):
    """A problem told in one sentence; `exit_code` is the command line's answer to it."""

    def __init__(self, sentence: str, exit_code: int = INPUT_FAILED):
        super().__init__(sentence)
        self.exit_code = exit_code


class Cancelled(Exception):
    """The user stopped the work; a progress callback may raise it."""
