# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small networks run best on one thread: on a busy machine two that wait for each other are many times slower."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """PyTorch on one thread for the tests of this folder."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
