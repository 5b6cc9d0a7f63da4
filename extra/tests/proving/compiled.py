"""Modules compiled with Cython, as those of the vendor's host are.

Cython comes from PyPI and lies under `target/`, one folder for each Python and version; so do the
compiled modules, under a name made of all that they depend on.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import subprocess

TARGET = pathlib.Path(__file__).resolve().parents[3] / 'target' / 'cython'

# The vendor's modules say that they are made by 0.29.21, for Python 3.9. It knows no Python from
# 3.10 on; the last of its line does, up to 3.12, and the first of the next line that is used here
# knows them all.
K2 = '0.29.21'
OLD = '0.29.37'
NEW = '3.0.12'


def versions(python=(3, 9)):
    """The versions of Cython whose modules this Python can load."""
    if python < (3, 10):
        return [K2, NEW]
    if python < (3, 13):
        return [OLD, NEW]
    return [NEW]


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode:
        raise RuntimeError("%s failed:\n%s" % (' '.join(map(str, command)),
                                               done.stdout.decode(errors='replace')[-3000:]))
    return done.stdout.decode()


@contextlib.contextmanager
def alone(name):
    """Tests run in several processes: one makes a thing, the others wait for it."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with open(str(TARGET / (name + '.lock')), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.lru_cache(None)
def facts(python):
    """(version tag, include folder, suffix of extension modules) of a Python."""
    return tuple(run([python, '-c', 'import sys, sysconfig\n'
                      'print("%d.%d" % sys.version_info[:2])\n'
                      'print(sysconfig.get_paths()["include"])\n'
                      'print(sysconfig.get_config_var("EXT_SUFFIX"))']).split('\n')[:3])


@functools.lru_cache(None)
def cython(python, version):
    """The folder with Cython for a Python; installed if it is not there."""
    tag = facts(python)[0]
    folder = TARGET / tag / version
    with alone('%s-%s' % (tag, version)):
        if not (folder / 'done').exists():
            run([python, '-m', 'pip', 'install', '--quiet', '--no-deps', '--upgrade',
                 '--disable-pip-version-check', '--root-user-action=ignore', '--target',
                 str(folder), 'cython==' + version])
            (folder / 'done').touch()
    return folder


@functools.lru_cache(None)
def build(python, version, source, name):
    """The extension module of this name, made of a source file."""
    source = pathlib.Path(source)
    tag, include, suffix = facts(python)
    text = source.read_bytes()
    key = hashlib.sha256(text + ('%s %s %s' % (name, tag, version)).encode()).hexdigest()[:16]
    module = TARGET / tag / ('%s-%s' % (version, key)) / (name + suffix)
    with alone('%s-%s-%s' % (tag, version, key)):
        if not module.exists():
            compile_into(module, python, version, text, name, include)
    return module


def compile_into(module, python, version, text, name, include):
    folder = module.parent
    folder.mkdir(parents=True, exist_ok=True)
    named, c_file, half = (folder / (name + end) for end in ('.py', '.c', '.half'))
    named.write_bytes(text)
    run([python, '-m', 'cython', '-3', str(named), '-o', str(c_file)],
        env=dict(os.environ, PYTHONPATH=str(cython(python, version))))
    run(['cc', '-O0', '-w', '-shared', '-fPIC', '-I', include, str(c_file), '-o', str(half)])
    half.rename(module)
    c_file.unlink()
    named.unlink()
