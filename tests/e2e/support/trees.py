"""
Hostile file trees, and their comparison by programs that are not ours: rsync, find, getfattr,
getfacl. What these do not look at (where a file's holes are) is asked of the kernel.
"""

import errno
import hashlib
import os
import random
import socket
import stat
import struct
import subprocess

LONG = "n" * 255
PAGE = 8192


def noise(size, seed=1):
    generator = random.Random(seed)
    whole, rest = divmod(size, 1 << 26)
    return b"".join([generator.randbytes(1 << 26) for _ in range(whole)] + [generator.randbytes(rest)])


def write(path, data=b"", mode=None, times=None):
    with open(path, "wb") as file:
        file.write(data)
    if mode is not None:
        os.chmod(path, mode)
    if times is not None:
        os.utime(path, ns=times, follow_symlinks=False)


def join(root, *names):
    return os.path.join(os.fsencode(root), *[os.fsencode(n) for n in names])


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, **more).stdout


def make_names(root):
    """Every kind of name; and neighbours that sort differently by bytes and by path."""
    names = [
        b" ", b"-", b"--help", b"...", b"a\nb", b"a\tb", b"tab\\t", b"'\"`$(id)", b"\xff\xfe\x80",
        b"\xc3\x28", "ünï-😀".encode(), b"*", b"?", b"[x]", b"{}", b"%s%n", b"\x01\x7f\x1b[31m",
        LONG.encode(), b"\xe4" * 255, b".hidden", b"..x", b"CON", b"a", b"a-b", b"a.b", b"a b", b"a0",
        b".wh.deleted", b".wh..wh..opq",
    ]
    directory = join(root, "names")
    os.mkdir(directory)
    for name in names:
        if name == b"a":
            os.mkdir(join(directory, name))
            write(join(directory, name, "b"), b"sorted by path, not by bytes")
            os.mkdir(join(directory, name, "-"))
        else:
            write(join(directory, name), b"content of " + name)
    deep = join(root, "deep")
    for _ in range(15):
        os.makedirs(deep, exist_ok=True)
        deep = join(deep, "d" * 250)
    os.mkdir(deep)
    write(join(deep, "bottom"), b"4 kB down")


def make_owners_and_modes(root):
    directory = join(root, "modes")
    os.mkdir(directory)
    for mode in (0, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777):
        path = join(directory, f"f{mode:o}")
        write(path, b"%o" % mode)
        os.chown(path, mode % 7, mode % 5)
        os.chmod(path, mode)
        path = join(directory, f"d{mode:o}")
        os.mkdir(path)
        write(join(path, "inside"), b"x")
        os.chmod(path, mode)
    for owner in ((65534, 65534), (999, 0), (4294967294, 4294967294), (100000, 2147483648)):
        path = join(directory, f"u{owner[0]}")
        write(path)
        os.chown(path, *owner)
        os.symlink("nowhere", path + b".link")
        os.lchown(path + b".link", *owner)


def make_times(root):
    directory = join(root, "times")
    os.mkdir(directory)
    second = 10**9
    for number, when in enumerate(
        (1, 0, -1, -second - 1, 1234567890123456789, 2**31 * second + 999999999, 2**32 * second, 7)
    ):
        path = join(directory, f"t{number}")
        write(path)
        os.utime(path, ns=(when, when))
        os.mkdir(path + b".d")
        os.symlink("x", path + b".l")
        os.utime(path + b".l", ns=(when, when), follow_symlinks=False)
        os.utime(path + b".d", ns=(when, when))


def make_links_and_devices(root):
    directory = join(root, "links")
    os.mkdir(directory)
    for name, target in (
        ("dangling", "nowhere"), ("absolute", "/etc/passwd"), ("loop", "loop"), ("up", "../../../.."),
        ("here", "."), ("long", "x" * 4000), ("odd", "a\nb\udcff"),
    ):
        os.symlink(os.fsencode(target), join(directory, name))
    os.mkdir(join(directory, "z"))
    write(join(directory, "z", "file"), b"linked" * 1000)
    for name in ("a", "b", "z/again"):
        os.link(join(directory, "z/file"), join(directory, name))
    os.link(join(directory, "dangling"), join(directory, "z", "dangling-too"), follow_symlinks=False)
    os.mkfifo(join(directory, "fifo"), 0o620)
    os.link(join(directory, "fifo"), join(directory, "z", "fifo-too"))
    os.mknod(join(directory, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(join(directory, "big-numbers"), stat.S_IFCHR | 0o600, os.makedev(4000, 1000000))
    os.mknod(join(directory, "block"), stat.S_IFBLK | 0o640, os.makedev(7, 200))


def make_socket(root):
    """Not captured; listed."""
    path = os.fsdecode(join(root, "a.sock"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.close()


def make_sparse(root):
    directory = join(root, "sparse")
    os.mkdir(directory)
    with open(join(directory, "hole-only"), "wb") as file:
        file.truncate(3 << 30)
    with open(join(directory, "islands"), "wb") as file:
        for place in (0, 1 << 20, (1 << 20) + 65536, 40 << 20, 1 << 30):
            file.seek(place)
            file.write(noise(5000, place))
        file.truncate(2 << 30)
    with open(join(directory, "starts-with-hole"), "wb") as file:
        file.seek(4096 * 33)
        file.write(b"end")
    write(join(directory, "zeros-written"), b"\0" * 300000)


def make_contents(root):
    directory = join(root, "contents")
    os.mkdir(directory)
    for size in (
        0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 262143, 262144, 262145,
        (1 << 20) + 1,
    ):
        write(join(directory, f"n{size}"), noise(size, size))
        write(join(directory, f"z{size}"), b"line of text\n" * (size // 13) + b"x" * (size % 13))
    write(join(directory, "big"), noise(9 << 20, 99))
    write(join(directory, "big-shifted"), b"shift" + noise(9 << 20, 99))
    write(join(directory, "pages"), b"".join(noise(PAGE, n % 40) for n in range(300)))
    many = join(root, "many")
    os.mkdir(many)
    for number in range(1500):
        if number % 100 == 0:
            os.mkdir(join(many, f"{number}"))
        write(join(many, f"{number - number % 100}", f"f{number}"), b"%d" % number * (number % 50))


def has_attributes(root):
    path = join(root, ".probe")
    write(path)
    try:
        os.setxattr(path, "user.probe", b"1")
        return True
    except OSError as error:
        assert error.errno == errno.ENOTSUP, error
        return False
    finally:
        os.unlink(path)


def make_attributes(root):
    directory = join(root, "attributes")
    os.mkdir(directory)
    path = join(directory, "file")
    write(path, b"x")
    os.setxattr(path, "user.binary", bytes(range(256)))
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "user.large", noise(2000))
    os.setxattr(path, "user." + "n" * 250, b"long name")
    program = join(directory, "program")
    write(program, b"#!", 0o755)
    os.setxattr(program, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    os.mkdir(join(directory, "dir"))
    os.setxattr(join(directory, "dir"), "user.on-directory", b"yes")
    for acl, name in (("u:1234:rw,g:99:r", "acl"), ("u:0:---,m::r", "masked")):
        write(join(directory, name))
        run("setfacl", "-m", acl, join(directory, name))
    run("setfacl", "-d", "-m", "u:1234:rwx,g:99:rx", join(directory, "dir"))
    run("setfacl", "-m", "u:77:rx", join(directory, "dir"))


def make_hostile(root, sockets=True):
    """Everything at once, below an existing directory."""
    make_names(root)
    make_owners_and_modes(root)
    make_times(root)
    make_links_and_devices(root)
    make_sparse(root)
    make_contents(root)
    os.makedirs(join(root, "empty", "also-empty"))
    if has_attributes(root):
        make_attributes(root)
    if sockets:
        make_socket(root)
    os.chmod(root, 0o2751)
    os.chown(root, 77, 88)
    os.utime(root, ns=(5, 1111111111222333444))


def make_small(root):
    """A little of each kind, quick to copy."""
    write(join(root, "file"), b"hello\n", 0o640)
    os.chown(join(root, "file"), 1000, 2000)
    os.mkdir(join(root, "dir"), 0o700)
    write(join(root, "dir", "inner"), noise(100000))
    os.link(join(root, "dir", "inner"), join(root, "linked"))
    os.symlink("file", join(root, "symlink"))
    os.mkfifo(join(root, "fifo"))
    os.utime(join(root, "file"), ns=(0, 1234567890987654321))


def worsen_small(container):
    """make_small's tree at /data becomes another, and the container gets a file of its own."""
    container.exec("echo worse >/data/file; rm -rf /data/dir; echo extra >/data/extra; echo own >/own")


def holes(path):
    """The data ranges of a file as the kernel tells them."""
    ranges = []
    fd = os.open(path, os.O_RDONLY)
    try:
        end = os.fstat(fd).st_size
        place = 0
        while place < end:
            try:
                start = os.lseek(fd, place, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            place = os.lseek(fd, start, os.SEEK_HOLE)
            ranges.append((start, place))
    finally:
        os.close(fd)
    return ranges


def listing(root, skip=()):
    """path -> what find says of it, hard links as the set of names of one inode."""
    out = run(
        "find", os.fsencode(root), "-printf", r"%P\0%y %#m %U %G %T@ %n\0%l\0%i\0%s\0",
        env={**os.environ, "LC_ALL": "C"},
    )
    fields = out.split(b"\0")[:-1]
    entries, inodes = {}, {}
    for at in range(0, len(fields), 5):
        path, facts, link, inode, size = fields[at : at + 5]
        if path in skip or facts.startswith(b"s "):
            continue
        kind = facts[:1]
        if kind == b"d":
            facts = facts.rpartition(b" ")[0]
        entries[path] = [facts, link, size if kind == b"f" else b""]
        if kind in b"bc":
            device = os.lstat(join(root, path)).st_rdev
            entries[path].append((os.major(device), os.minor(device)))
        inodes.setdefault(inode, []).append(path)
    for names in inodes.values():
        for name in names:
            entries[name].append(tuple(sorted(names)))
    return entries


def attributes(root, skip=()):
    out = run("getfattr", "-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", ".", cwd=root)
    lines, current = {}, None
    for line in out.split(b"\n"):
        if line.startswith(b"# file: "):
            current = line[8:]
        elif line and not (current == b"." and b"sidesnap" in line.partition(b"=")[0]):
            lines.setdefault(current, []).append(line)
    return {k: sorted(v) for k, v in lines.items() if k not in skip}


def acls(root):
    return run("getfacl", "-R", "-P", "-n", "-p", ".", cwd=root)


def whole_contents(root, entries):
    """As contents(), of small files: all bytes, wherever holes are."""
    found = {}
    for path, facts in entries.items():
        if facts[0][:1] == b"f":
            with open(join(root, path), "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


def contents(root, entries):
    found = {}
    for path, facts in entries.items():
        if facts[0][:1] == b"f":
            digest = hashlib.sha256()
            ranges = holes(join(root, path))
            with open(join(root, path), "rb") as file:
                # Long holes are not worth reading; where they are is compared on its own.
                for start, end in ranges:
                    file.seek(start)
                    data = file.read(end - start)
                    digest.update(struct.pack("<Q", start) + data)
            found[path] = (digest.hexdigest(), ranges)
    return found


def brief(value):
    """Long values are shown by their beginning."""
    if isinstance(value, (list, tuple)):
        return [brief(v) for v in value]
    return value[:70] + b"..." if isinstance(value, bytes) and len(value) > 70 else value


def only_difference(what, left, right):
    missing = [(k, brief(left[k])) for k in sorted(set(left) - set(right))][:10]
    extra = sorted(set(right) - set(left))[:10]
    changed = [(k, brief(left[k]), brief(right[k])) for k in sorted(set(left) & set(right)) if left[k] != right[k]][:10]
    assert not (missing or extra or changed), (
        f"{what} differ: missing {missing}, not in the original {extra}, changed {changed}"
    )


class Facts:
    """All that a file system shows of a tree, taken now, to be compared later."""

    def __init__(self, root, skip=(), holes_matter=True):
        skip = {os.fsencode(s) for s in skip}
        self.entries = listing(root, skip)
        self.attributes = attributes(root, skip)
        self.contents = (contents if holes_matter else whole_contents)(root, self.entries)
        self.acls = None
        if not skip:
            # getfacl follows nothing and cannot skip; sockets have ACLs too but are not captured
            sockets = {os.fsdecode(p) for p in sockets_below(root)}
            self.acls = sorted(b for b in acls(root).split(b"\n\n") if not names_one(b, sockets))

    def assert_equal(self, copy, of=""):
        only_difference(f"entries{of}", self.entries, copy.entries)
        only_difference(f"attributes{of}", self.attributes, copy.attributes)
        only_difference(f"contents{of}", self.contents, copy.contents)
        assert self.acls == copy.acls, f"ACLs{of} differ"


def assert_same(original, copy, skip=()):
    """The copy is the original to the last bit that a file system shows."""
    Facts(original, skip).assert_equal(Facts(copy, skip))
    assert_rsync_agrees(original, copy, skip)


def assert_rsync_agrees(original, copy, skip=(), *options):
    """rsync's own idea of it, xattrs, ACLs and hard links included; not the times of directories."""
    skip = {os.fsencode(s) for s in skip}
    out = run(
        "rsync", "-naHAXi", "--delete", "--numeric-ids", "--modify-window=-1",
        "--filter=-x user.sidesnap*", "--filter=-x trusted.sidesnap*",
        *[b"--exclude=/" + s for s in [*skip, *sockets_below(original)]], *options,
        os.fsencode(original) + b"/", os.fsencode(copy) + b"/",
    )
    differing = [line for line in out.split(b"\n") if line and not line.startswith(b".d")]
    assert not differing, f"rsync sees differences: {differing[:10]}"


def sockets_below(root):
    out = run("find", os.fsencode(root), "-type", "s", "-printf", r"%P\0")
    return [p for p in out.split(b"\0") if p]


def names_one(block, names):
    first = block.split(b"\n")[0]
    return any(first == b"# file: ./" + os.fsencode(n) for n in names)
