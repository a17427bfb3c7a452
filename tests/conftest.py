"""
Where the tests find the product, the order in which they run (quick ones first, but long files early
enough that no process is left alone with one), and a run of all of them in several processes: each
has an engine of its own, and most of a test is waiting.
"""

import os
import subprocess
import sys
import tempfile
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
    "test_rounds",
    "test_bad_input",
    "test_damage",
    "test_run_and_list",
    "test_restarting",
    "test_safety",
    "test_killed",
    "test_postgres",
    "test_compose",
    "test_postgres_versions",
    "test_redis",
    "test_sqlite",
    "test_mysql",
    "test_mysql_logical",
    "test_replace",
    "test_reset",
    "test_undo",
    "test_history",
    "test_prune",
    "test_diff",
    "test_diff_data",
    "test_extract",
    "test_share",
    "test_hostile",
    "test_reset_engine",
    "test_chain",
    "test_concurrent",
    "test_other_engines",
]


# What is dear to set up (big images, a set of snapshots for all tests of a file) is set up by one process.
WHOLE = {
    "test_postgres", "test_compose", "test_redis", "test_mysql", "test_mysql_logical", "test_history", "test_diff_data", "test_share", "test_hostile",
}


def file_of(item):
    return os.path.splitext(os.path.basename(str(item.fspath)))[0]


def pytest_addoption(parser):
    default = int(os.environ.get("SIDESNAP_TEST_PROCESSES", "2" if os.geteuid() == 0 else "1"))
    parser.addoption("--processes", type=int, default=default, help="run a folder of tests in so many processes")
    parser.addoption("--claims", help="a folder: run only what no other process has claimed there, used by --processes")


def pytest_configure(config):
    config.addinivalue_line("markers", "database: a server that is dear to fetch or to run: make test-databases")


def is_whole(item):
    return file_of(item) in WHOLE or item.get_closest_marker("database")


def pytest_collection_modifyitems(config, items):
    def position(item):
        return ORDER.index(file_of(item)) if file_of(item) in ORDER else len(ORDER)

    items.sort(key=position)
    # Who names a file or a marker gets what it says.
    named = config.getoption("markexpr") or any(".py" in argument for argument in config.args)
    left_out = [item for item in items if item.get_closest_marker("database") and not named]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def claimed(items, folder):
    """Those that are ours. A process takes a test, or a file of WHOLE, when it comes to it."""
    ours, others = set(), set()
    for at, item in enumerate(items):
        name = file_of(item) if is_whole(item) else str(at)
        if name not in ours and name not in others:
            try:
                os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL))
                ours.add(name)
            except FileExistsError:
                others.add(name)
        if name in ours:
            yield item


def pytest_runtestloop(session):
    folder = session.config.getoption("claims")
    if not folder or session.testsfailed:
        return None
    mine = claimed(session.items, folder)
    item = next(mine, None)
    while item:
        following = next(mine, None)  # what can stay set up is told by it
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def pytest_cmdline_main(config):
    """A run of whole folders is divided; single files run here."""
    count = config.getoption("processes")
    folders = any(os.path.isdir(argument) for argument in config.args)
    if config.getoption("claims") or count < 2 or not folders or config.getoption("collectonly"):
        return None
    with tempfile.TemporaryDirectory(prefix="sidesnap-tests.") as claims:
        return run_divided(config.invocation_params.args, count, claims)


def run_divided(arguments, count, claims):
    def pump(number, process):
        for line in process.stdout:
            sys.stdout.write(f"[{number}] {line}")
            sys.stdout.flush()

    processes, threads = [], []
    for number in range(count):
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", *arguments, f"--claims={claims}"],
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
