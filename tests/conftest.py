"""
Where the tests find the product, the order in which they run (quick ones first), and a run of all of
them in several processes: each has an engine of its own, and most of a test is waiting.
"""

import os
import subprocess
import sys
import threading

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
    "test_precopy",
    "test_bad_input",
    "test_damage",
    "test_run_and_list",
    "test_restarting",
    "test_safety",
    "test_killed",
    "test_replace",
    "test_compose",
    "test_redis",
    "test_postgres",
    "test_other_engines",
]


# Big images are loaded by one process only; of the rest the first process gets less, as PostgreSQL
# takes long.
ALONE = {"test_postgres": 0, "test_compose": 1, "test_redis": 1}


def file_of(item):
    return os.path.splitext(os.path.basename(str(item.fspath)))[0]


def pytest_addoption(parser):
    default = int(os.environ.get("SIDESNAP_TEST_PROCESSES", "2" if os.geteuid() == 0 else "1"))
    parser.addoption("--processes", type=int, default=default, help="run a folder of tests in so many processes")
    parser.addoption("--shard", help="K/N: only every N-th test, used by --processes")


def pytest_collection_modifyitems(config, items):
    def position(item):
        return ORDER.index(file_of(item)) if file_of(item) in ORDER else len(ORDER)

    items.sort(key=position)
    if config.getoption("shard"):
        number, count = map(int, config.getoption("shard").split("/"))
        kept, left = [], []
        for at, item in enumerate(items):
            share = count - 1 - at % (count + 1) * count // (count + 1)
            mine = ALONE.get(file_of(item), share) % count == number
            (kept if mine else left).append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=left)


def pytest_cmdline_main(config):
    """A run of whole folders is divided; single files run here."""
    count = config.getoption("processes")
    folders = any(os.path.isdir(argument) for argument in config.args)
    if config.getoption("shard") or count < 2 or not folders or config.getoption("collectonly"):
        return None
    return run_divided(config.invocation_params.args, count)


def run_divided(arguments, count):
    def pump(number, process):
        for line in process.stdout:
            sys.stdout.write(f"[{number}] {line}")
            sys.stdout.flush()

    processes, threads = [], []
    for number in range(count):
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", *arguments, f"--shard={number}/{count}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        thread = threading.Thread(target=pump, args=(number, process))
        thread.start()
        processes.append(process)
        threads.append(thread)
    try:
        codes = [process.wait() for process in processes]
    except KeyboardInterrupt:
        codes = [process.wait() for process in processes]
    for thread in threads:
        thread.join()
    if codes and all(code == 5 for code in codes):
        return 5  # nothing was collected anywhere
    return max(0 if code == 5 else abs(code) for code in codes)
