"""Writing: what users name stays what it is, our own files follow no link, nothing is left behind."""

import errno
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from trainer.files import open_lock, replacing, write_atomically, write_named


def reader_of(path):
    """A thread that reads a pipe, and what it got."""
    got = []
    thread = threading.Thread(target=lambda: got.append(path.read_bytes()))
    thread.start()
    return thread, got


def test_a_pipe_takes_the_bytes_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    thread, got = reader_of(pipe)
    write_named(pipe, "x" * 100_000)  # more than a pipe holds
    thread.join(10)
    assert got == [b"x" * 100_000] and stat.S_ISFIFO(pipe.lstat().st_mode)
    assert os.listdir(tmp_path) == ["pipe.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_takes_the_bytes_and_stays_one(tmp_path):
    null, full, disk = tmp_path / "null", tmp_path / "full", tmp_path / "disk"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        os.mknod(disk, stat.S_IFBLK | 0o666, os.makedev(7, 99))
    except OSError:
        pytest.skip("no devices can be made here")
    write_named(null, "gone")
    with pytest.raises(OSError, match="No space left on device"):
        write_named(full, "x")
    with pytest.raises(OSError, match="a disk, not a file"):
        write_named(disk, "x")
    assert [stat.S_IFMT(one.lstat().st_mode) for one in (null, full, disk)] == [*[stat.S_IFCHR] * 2, stat.S_IFBLK]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    real, new = tmp_path / "there" / "real.json", tmp_path / "elsewhere" / "new.json"
    real.write_text("{}")
    for name, target in (("one", "two"), ("two", real), ("dangling", new)):
        (tmp_path / name).symlink_to(target)
    write_named(tmp_path / "one", "1")
    write_named(tmp_path / "dangling", "2")
    assert (real.read_text(), new.read_text()) == ("1", "2")
    assert all((tmp_path / name).is_symlink() for name in ("one", "two", "dangling"))


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError) as error:
        write_named(tmp_path / "loop", "x")
    assert error.value.errno == errno.ELOOP and error.value.filename == str(tmp_path / "loop")


def test_the_other_names_of_a_file_hold_what_was_written(tmp_path):
    (tmp_path / "a").write_text("older and longer")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    write_named(tmp_path / "a", "new")
    assert (tmp_path / "b").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "f.json"
    path.write_text("{}")
    path.chmod(mode)
    write_named(path, "1")
    write_atomically(path, "2")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_that_the_process_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_named(tmp_path / "new", "x")
        write_atomically(tmp_path / "secret", "x", 0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "secret")] == [0o640, 0o600]


@pytest.mark.parametrize("kind", ["folder", "socket", "below a file"])
def test_what_cannot_be_written_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:
        path.write_text("kept")
        path = path / "below"
    with pytest.raises(OSError):
        write_named(path, "x")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("standard", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to", ["a file", "a pipe"])
def test_the_process_s_own_output_is_written_to_in_turn(tmp_path, standard, to):
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("a system with /proc")
    program = (
        "import sys; from pathlib import Path; from trainer.files import write_named\n"
        f"print('before', flush=True); write_named(Path('{standard}'), 'middle\\n'); print('after')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    file = tmp_path / "out.txt"
    with file.open("w") as out:
        where = out if to == "a file" else subprocess.PIPE
        ended = subprocess.run([sys.executable, "-c", program], stdout=where, env=environment, text=True)
    assert ended.returncode == 0
    assert (file.read_text() if to == "a file" else ended.stdout) == "before\nmiddle\nafter\n"


def test_our_own_files_follow_no_link(tmp_path):
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / "lock").symlink_to(tmp_path / "outside")
    (tmp_path / "study.toml").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        open_lock(tmp_path / "lock")
    write_atomically(tmp_path / "study.toml", "ours")
    assert (tmp_path / "outside").read_text() == "theirs"
    assert (tmp_path / "study.toml").read_text() == "ours" and not (tmp_path / "study.toml").is_symlink()


def test_a_lock_file_keeps_what_it_holds(tmp_path):
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / "lock").hardlink_to(tmp_path / "outside")
    os.close(open_lock(tmp_path / "lock"))
    assert (tmp_path / "outside").read_text() == "theirs"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no plain file"):  # at once: nobody reads it
        open_lock(tmp_path / "pipe")


def test_nobody_can_lay_a_link_where_the_temporary_file_will_be(tmp_path, monkeypatch):
    (tmp_path / "outside").write_text("theirs")
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / "f.guessed.part").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        write_atomically(tmp_path / "f", "ours")
    assert (tmp_path / "outside").read_text() == "theirs" and (tmp_path / "f.guessed.part").is_symlink()


def test_an_error_while_it_is_written_leaves_the_older_file_alone(tmp_path):
    path = tmp_path / ("a" * 250)  # a temporary name must not be longer than names may be
    write_atomically(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and len(os.listdir(tmp_path)) == 1
