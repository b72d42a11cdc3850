# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python -m s2c_blender ...`, and the same as `blender -b [file.blend] --command piano_hands ...`.

Progress goes to stderr, one JSON report to stdout (its last line). Exit codes: see errors.py.
"""

import argparse
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict

from ..errors import CANCELLED, ENVIRONMENT, INPUT_FAILED, Cancelled, UserError
from ..outputs import write_failed
from .arguments import parser
from .telling import Teller, end_with_parent, report_stream, stoppable

Work = Callable[[dict, Teller], int | None]  # fills the report; may return an exit code


def main(argv: list[str] | None = None, *, in_blender: bool = False) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments, work = _asked_for(argv, in_blender)
    except SystemExit as leaving:
        return leaving.code or 0
    level = "error" if arguments.quiet else getattr(arguments, "log_level", "info")
    if level == "debug":
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    with report_stream() as stream, stoppable():
        tell = Teller(level, stream, getattr(arguments, "openjd", False))
        report, code = {"outputs": {}}, 0
        try:
            if getattr(arguments, "with_parent", False):
                end_with_parent()
            code = work(report, tell) or 0
            if code == 0:
                tell.farm(progress=1.0)
        except (UserError, OSError, Cancelled, KeyboardInterrupt) as error:
            report["error"], code = _told(error)
            if level == "debug":
                traceback.print_exc()
            print("Cancelled." if code == CANCELLED else f"Error: {report['error']}", file=sys.stderr)
            tell.farm(fail=report["error"])
        report["exit_code"] = code
        tell.result(report)
    return code


def _told(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code for an error."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return write_failed(error.filename or "A file", error), ENVIRONMENT
    return "Cancelled.", CANCELLED


def _asked_for(argv: list[str], in_blender: bool) -> tuple:
    """The arguments and the Work they ask for; SystemExit when they are wrong."""
    words = [word for word in argv if word != "--quiet"]  # which may come first
    if words[:1] == ["model"]:
        return _models(["--quiet"] * ("--quiet" in argv) + words[1:], in_blender)
    arguments = parser(in_blender).parse_args(argv)
    if arguments.check:
        return arguments, lambda report, tell: _check(arguments, report, tell, in_blender)
    if arguments.batch:
        from . import batch

        return arguments, lambda report, tell: batch.run(arguments, argv, report, tell, in_blender)
    from . import single  # brings SciPy, which a batch leaves to its jobs

    return arguments, lambda report, tell: single.run(arguments, report, tell, in_blender)


def _models(argv: list[str], in_blender: bool) -> tuple:
    from ..model import commands
    from .single import blender_half

    arguments = commands.parser(in_blender).parse_args(argv)
    # Outside Blender, which has a preference for it, typing the command is consent.
    return arguments, lambda report, tell: commands.run(
        arguments, report, tell, online=not in_blender or blender_half().online()
    )


def _check(arguments: argparse.Namespace, report: dict, tell: Teller, in_blender: bool) -> int:
    """Look whether everything needed is there; INPUT_FAILED when something is not."""
    from ..self_check import check
    from .single import blender_half, cache_folder

    given = {"model": str(arguments.model.absolute()) if arguments.model else None, "cache": arguments.cache}
    given |= {name: getattr(arguments, name) for name in ("device", "backend") if getattr(arguments, name) != "auto"}
    if in_blender:
        options = blender_half().check_options()  # the preferences', where nothing else is said
        given |= blender_half().worker_options(arguments.python) if arguments.python else {}
    else:
        options = {"interpreter": arguments.python, "cache": cache_folder()}
    findings = check(**options | {name: value for name, value in given.items() if value is not None}, on_progress=tell)
    for finding in findings:
        (tell.line if finding.ok else tell.warning)(str(finding))
    report["findings"] = [asdict(finding) for finding in findings]
    return 0 if all(finding.ok for finding in findings) else INPUT_FAILED
