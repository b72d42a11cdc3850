# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by torchrun: training, after which each process writes the weights it ended with, <out>.rank<n>.safetensors."""

import os
import sys
from pathlib import Path

from safetensors.torch import save_file

from training import run, train

run_on = run.Run.go


def go(self: run.Run, *arguments) -> None:
    """The run, and then this process's weights."""
    run_on(self, *arguments)
    state = {name: value.detach().clone() for name, value in self.networks.named_parameters()}
    save_file(state, Path(f"{self.out}.rank{os.environ['RANK']}.safetensors"))


run.Run.go = go
sys.exit(train.main(sys.argv[1:]))
