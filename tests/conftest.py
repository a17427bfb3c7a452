"""Where the tests find the product, and the order in which they run: quick ones first."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.dont_write_bytecode = True

ORDER = [
    "test_trees",
    "test_store_damage",
    "test_command_line",
    "test_create",
    "test_mounts",
    "test_own_files",
    "test_image",
    "test_boot",
    "test_fidelity",
    "test_freeze",
    "test_bad_input",
    "test_damage",
    "test_run_and_list",
    "test_killed",
    "test_replace",
    "test_compose",
    "test_redis",
    "test_postgres",
    "test_other_engines",
]


def pytest_collection_modifyitems(items):
    def position(item):
        name = os.path.splitext(os.path.basename(str(item.fspath)))[0]
        return ORDER.index(name) if name in ORDER else len(ORDER)

    items.sort(key=position)
