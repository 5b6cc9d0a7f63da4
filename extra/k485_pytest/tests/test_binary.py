"""Where the binary is looked for, and what is said when there is none."""

import os

import pytest
from k485_pytest.binary import BinaryError, find_binary


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_nearest_name_wins(tmp_path):
    names = [program(tmp_path / name) for name in ("a", "b", "c")]
    option, ini, env = map(str, names)
    on_path = program(tmp_path / "bin" / "k485")
    environ = {"K485_BINARY": env, "PATH": str(tmp_path / "bin")}
    assert find_binary(option, ini, environ, []) == names[0]
    assert find_binary(None, ini, environ, []) == names[1]
    assert find_binary(None, "", environ, []) == names[2]
    del environ["K485_BINARY"]
    assert find_binary(None, None, environ, []) == on_path
    # As in a shell.
    assert find_binary("k485", None, environ, []) == on_path


def test_a_checkout_above_has_one(tmp_path):
    old = program(tmp_path / "target" / "debug" / "k485")
    new = program(tmp_path / "target" / "release" / "k485")
    os.utime(str(old), (1000, 1000))
    os.utime(str(new), (2000, 2000))
    below = tmp_path / "extra" / "host"
    environ = {"PATH": str(tmp_path / "nowhere")}
    assert find_binary(None, None, environ, [below]) == new
    os.utime(str(old), (3000, 3000))
    assert find_binary(None, None, environ, [below]) == old


def test_a_name_that_leads_nowhere_is_an_error(tmp_path):
    program(tmp_path / "target" / "debug" / "k485")
    with pytest.raises(BinaryError) as raised:
        find_binary(str(tmp_path / "none"), None, {}, [tmp_path])
    assert "--k485-binary is {}, and there is no such file".format(tmp_path / "none") in str(
        raised.value
    )
    folder = tmp_path / "target"
    with pytest.raises(BinaryError, match="K485_BINARY is .*, which is not a program"):
        find_binary(None, None, {"K485_BINARY": str(folder)}, [tmp_path])


def test_none_at_all_says_what_to_do(tmp_path):
    with pytest.raises(BinaryError) as raised:
        find_binary(None, None, {"PATH": ""}, [tmp_path])
    said = str(raised.value)
    assert str(tmp_path) in said
    for way in ("cargo build --release", "PATH", "--k485-binary", "k485_binary", "K485_BINARY"):
        assert way in said
