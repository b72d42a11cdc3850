# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a Python with Blender's module: install a zip, run the extension's command, remove it; arguments as JSON.

Prints a JSON line about what was loaded from where, and ends with the command's exit code.
"""

import importlib.util
import json
import os
import socket
import sys

import bpy

zip_file, command = json.loads(sys.argv[1])
bpy.ops.extensions.package_install_files(filepath=zip_file, repo="user_default", enable_on_install=True)
import numpy  # noqa: E402
import onnxruntime  # noqa: E402
import scipy  # noqa: E402
from bl_ext.user_default.s2c_piano_hands.s2c_blender.blender import register  # noqa: E402

told = {
    "blender": bpy.app.version[:2],
    "numpy": numpy.__version__,
    "files": [module.__file__ for module in (scipy, onnxruntime)],
    "torch": bool(importlib.util.find_spec("torch")),
    "networks": [name for _, name in socket.if_nameindex()],
}
code = register.run_command(command)
names = [repo.module for repo in bpy.context.preferences.extensions.repos]
bpy.ops.extensions.package_uninstall(repo_index=names.index("user_default"), pkg_id="s2c_piano_hands")
print(json.dumps(told), flush=True)
os._exit(code)  # some modules crash or hang in Blender's clean-up
