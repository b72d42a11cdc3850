# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dev.py does, one module a topic. Standard library only; nothing here is part of the extension."""
