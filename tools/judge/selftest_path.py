# SPDX-License-Identifier: GPL-2.0
"""Importing this makes the modules of the selftest directory importable."""

import os
import sys

SELFTEST = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../testing/selftests/liveupdate/iommu")
sys.path.insert(0, SELFTEST)
