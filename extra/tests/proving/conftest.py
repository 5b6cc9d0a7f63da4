"""Hosts for the tests of this folder."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import compiled      # noqa: E402
import host as hosts  # noqa: E402


def make(kind, folder, **more):
    if kind == 'klipper':
        checkout, why = hosts.klipper()
        if checkout is None:
            pytest.skip(why)
        python = why
    else:
        python = sys.executable
    wanted = more.get('cython')
    if wanted:
        version = tuple(map(int, compiled.facts(python)[0].split('.')))
        if wanted not in compiled.versions(version):
            pytest.skip("Cython %s is not for Python %d.%d" % ((wanted,) + version))
    return hosts.HOSTS[kind](folder, **more)


@pytest.fixture(params=list(hosts.HOSTS))
def new_host(request, tmp_path):
    """Makes hosts of one kind, and ends them."""
    made = []

    def new(**more):
        folder = tmp_path / ('host%d' % (len(made),))
        made.append(make(request.param, folder, **more))
        return made[-1]
    new.kind = request.param
    yield new
    for host in made:
        host.stop()
