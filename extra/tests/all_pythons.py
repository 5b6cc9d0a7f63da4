#!/usr/bin/env python3
"""Runs the extra's tests on every Python from 3.8 to 3.13 that is here, and names those that are not.

The Python that runs this file runs all tests, every other one the unit tests and those of patching;
3.9, the K2's, on classes of the K2's Cython too. Each gets a virtual environment under
`target/pythons/`, with what `requirements.txt` names from PyPI.

usage: all_pythons.py [--only VERSION] [--all] [PYTEST_ARGUMENT ...]

--only runs one version, --all runs all tests on each, and on each version of Cython that it knows. Exit codes: 0 all passed on each; 1 something
failed; 2 there is nothing to run it with.
"""

import argparse
import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / 'target' / 'pythons'
VERSIONS = ['3.%d' % minor for minor in range(8, 14)]
THIS = '%d.%d' % sys.version_info[:2]
# Of the tests that take a host, what depends on the Python; compiling takes its time.
ELSEWHERE = ['proving/test_patching.py']
PLAIN, K2 = 'not cython', 'not cython or 0.29.21'


def candidates(version):
    if version == THIS:
        yield sys.executable
    found = shutil.which('python' + version)
    if found:
        yield found
    home = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
    for pattern in (home + '/versions/%s.*/bin/python', '/usr/local/bin/python%s',
                    os.path.expanduser('~/.local/share/uv/python') + '/cpython-%s.*/bin/python3'):
        yield from sorted(glob.glob(pattern % (version,)), reverse=True)


def find(version):
    """A Python of this version that runs, or None."""
    for path in candidates(version):
        try:
            said = subprocess.run([path, '-c', 'import sys, venv; print("%d.%d" % sys.version_info[:2])'],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError:
            continue
        if said.returncode == 0 and said.stdout.decode().strip() == version:
            return path
    return None


def environment(python, version):
    """The Python of a virtual environment with what the tests need."""
    folder = ENVIRONMENTS / version
    requirements = HERE / 'requirements.txt'
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    inside = folder / 'bin' / 'python'
    mark = folder / 'k485-tests'
    if not (inside.exists() and mark.exists() and mark.read_text() == wanted):
        subprocess.run([python, '-m', 'venv', '--clear', str(folder)], check=True)
        subprocess.run([str(inside), '-m', 'pip', 'install', '--quiet',
                        '--disable-pip-version-check', '-r', str(requirements)], check=True)
        mark.write_text(wanted)
    return inside


def tests(everything):
    units = sorted(str(path) for path in HERE.glob('test_*.py'))
    if everything:
        return units + [str(HERE / 'proving')]
    return units + [str(HERE / name) for name in ELSEWHERE]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--only', choices=VERSIONS)
    parser.add_argument('--all', action='store_true')
    options, more = parser.parse_known_args()
    found = {version: find(version) for version in VERSIONS
             if options.only in (None, version)}
    missing = [version for version, python in found.items() if python is None]
    failed = []
    ran = sorted((version for version, python in found.items() if python),
                 key=lambda version: version != THIS)
    for version in ran:
        everything = options.all or version == THIS or options.only is not None
        print("== Python %s: %s" % (version, "all tests" if everything
                                    else "unit tests, and those of patching"), flush=True)
        start = time.monotonic()
        inside = environment(found[version], version)
        rest = more
        variables = dict(os.environ, PYTHONDONTWRITEBYTECODE='1')
        if not everything:
            # Klipper runs on a Python of its own: once is enough.
            variables.pop('K485_KLIPPER', None)
            rest = ['-k', K2 if version == '3.9' else PLAIN] + more
        done = subprocess.run([str(inside), '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-rs', '-n', '3',
                               '--dist', 'load', *tests(everything), *rest],
                              cwd=str(ROOT), env=variables)
        print("== Python %s: %s in %d s" % (version, "failed" if done.returncode else "passed",
                                            time.monotonic() - start), flush=True)
        if done.returncode:
            failed.append(version)
    print("The extra was tested on Python %s.%s" % (
        ', '.join(sorted(ran, key=VERSIONS.index)) or 'none',
        " Not here, and not tested: %s." % (', '.join(missing),) if missing else ""))
    if failed:
        print("It failed on Python %s." % (', '.join(failed),))
        return 1
    return 0 if ran else 2


if __name__ == '__main__':
    sys.exit(main())
