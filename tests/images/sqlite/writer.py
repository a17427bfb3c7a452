"""
An application's writer: every row has a number one higher than the last, and the table "last" says which was
the last, in the same transaction. Prints what has been committed.
"""

import sqlite3
import sys

path, mode = sys.argv[1:]
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute(f"PRAGMA journal_mode={mode}")
db.execute("PRAGMA synchronous=NORMAL")
db.execute("CREATE TABLE IF NOT EXISTS written (n INTEGER PRIMARY KEY, filler TEXT, hash TEXT)")
db.execute("CREATE INDEX IF NOT EXISTS by_hash ON written (hash)")
db.execute("CREATE TABLE IF NOT EXISTS last (n INTEGER)")
if not db.execute("SELECT count(*) FROM last").fetchone()[0]:
    db.execute("INSERT INTO last VALUES (0)")
number = db.execute("SELECT n FROM last").fetchone()[0]
while True:
    db.execute("BEGIN IMMEDIATE")
    for _ in range(20):
        number += 1
        db.execute("INSERT INTO written VALUES (?, ?, ?)", (number, "x" * (number * 37 % 3000), str(hash((number, 7)))))
    if number % 100 == 0:
        db.execute("UPDATE written SET filler = 'y' || filler WHERE n % 50 = ?", (number // 100 % 50,))
        db.execute("DELETE FROM written WHERE n < ? AND n % 3 = 0", (number - 5000,))
    db.execute("UPDATE last SET n = ?", (number,))
    db.execute("COMMIT")
    print(number, flush=True)
