# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is told before it trains."""

import pytest

torch = pytest.importorskip("torch")

from training.processes import precision_warning  # noqa: E402


@pytest.mark.parametrize(
    ("device", "precision", "capability", "warned"),
    [
        ("cpu", "bfloat16", "AVX2", True),
        ("cpu", "bfloat16", "AVX512", False),
        ("cpu", "float32", "AVX2", False),
        ("cuda", "bfloat16", "AVX2", False),
    ],
)
def test_processors_that_imitate_bfloat16_are_told_of(monkeypatch, device, precision, capability, warned):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert ("float32" in precision_warning(device, precision)) == warned
